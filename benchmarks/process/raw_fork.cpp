// Limit: fork, _exit and waitpid, with nothing around them.
#include <sys/wait.h>
#include <unistd.h>

#include "process/workload.hpp"

int main(int argc, char** argv) {
  return bench::process_main(argc, argv, [] {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    int status = 1;
    bench::require(pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0, "fork and waitpid failed");
  });
}
