// Signals are masked round every call into libcurl: its resolver starts threads, they inherit the
// mask of the moment, and a server's signal handler must never run in a thread that the server
// knows nothing of.
#pragma once

#include <pthread.h>

#include <csignal>

#include "core/pure.hpp"

namespace pg_seats::http {

class SignalMask {
  public:
    SignalMask() noexcept {
        sigset_t all;
        sigfillset(&all);
        // A fault in a thread of curl's must still end in a core dump, not in a silent kill.
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
            sigdelset(&all, fault);
        }
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalMask(const SignalMask&) = delete;
    SignalMask& operator=(const SignalMask&) = delete;
    ~SignalMask() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

}  // namespace pg_seats::http
