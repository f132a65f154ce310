// The server's regime: no C++ objects with destructors in this file.
#include "process/registering.hpp"

namespace pg_seats::process {

BackgroundWorkerHandle* register_process(const NewProcess& process) {
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    // The launcher restarts, because it knows whether a process is still wanted and when.
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    strlcpy(worker.bgw_library_name, "pg_seats", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, process.function, sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, process.name, sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, process.type, sizeof worker.bgw_type);
    worker.bgw_main_arg = process.argument;
    worker.bgw_notify_pid = MyProcPid;
    BackgroundWorkerHandle* handle = nullptr;
    const MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
    const bool registered = RegisterDynamicBackgroundWorker(&worker, &handle);
    MemoryContextSwitchTo(context);
    return registered ? handle : nullptr;
}

}  // namespace pg_seats::process
