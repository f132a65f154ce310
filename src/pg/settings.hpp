// The settings (pg_seats.*). None of them holds a secret: settings end in logs and statistics.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

enum PaymentSweep : int { payment_sweep_off, payment_sweep_report, payment_sweep_cancel };
enum ReconcileMode : int { reconcile_off, reconcile_report, reconcile_repair };

// Plain variables, as the server wants them; read by everybody, written by the server only.
struct Settings {
    int alert_period_s;
    int alert_reminder_s;
    int alerts_per_minute;
    int delivery_lifetime_s;
    char* secrets_directory;
    char* person;
    char* ca_file;
    char* debug_point;
    int base_lifetime_ms;
    int secret_slots;
    int connect_timeout_ms;
    int default_wait_ms;
    int event_check_after_ms;
    int handler_memory_mb;
    int handler_timeout_ms;
    int handler_workers;
    int request_timeout_ms;
    int response_limit_kb;
    int max_in_flight;
    int safety_poll_ms;
    int retry_delay_ms;
    int retry_delay_limit_ms;
    int verify_after_silence_s;
    int final_answer_gap_s;
    int key_lifetime_s;
    int history_days;
    int max_waiters;
    int reconcile = reconcile_report;  // as it is defined: a server with assertions compares
    int payment_sweep = payment_sweep_report;
    int reconcile_interval_s;
    int webhook_silence_s;
};

extern Settings settings;

void define_settings();

}  // namespace pg_seats::pg
