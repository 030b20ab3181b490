// Work for processes on other machines, through a queue of a manager.  One side has the work, and waits until it is done;
// as many others as there are do it, each with so many processes.  They may come late, be killed, or lose their network:
// what one had taken and not done is given to another.
//   remote_workers work-for  tcp://HOST:PORT KEYFILE JOBS
//   remote_workers work-with tcp://HOST:PORT KEYFILE PROCESSES
#include <fstream>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;

namespace {

struct Job {
  int number = 0;
  int from = 0, to = 0;
};

int count_primes(const Job& job) {
  int count = 0;
  for (int n = std::max(job.from, 2); n < job.to; ++n) {
    bool prime = true;
    for (int d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
    count += prime ? 1 : 0;
  }
  return count;
}

void give_work(const std::string& address, const std::string& key, int count) {
  const mp::Manager manager({.address = address, .authkey = key});
  const auto jobs = manager.joinable_queue<Job>("jobs");
  const auto results = manager.dict<int, int>("results");
  std::cout << "listening at " << manager.address() << std::endl;
  for (int i = 0; i < count; ++i) jobs.put({i, i * 1000, (i + 1) * 1000});
  jobs.join();  // throws when a job has killed two workers
  int primes = 0;
  for (const auto& [job, found] : results.copy()) primes += found;
  std::cout << primes << " primes below " << count * 1000 << std::endl;
}

void work(const std::string& address, const std::string& key) {
  const mp::RemoteManager manager(address, key);
  const auto jobs = manager.joinable_queue<Job>("jobs");
  const auto results = manager.dict<int, int>("results");
  std::cout << "working" << std::endl;
  try {
    for (;;) {
      const Job job = jobs.get();
      results.set(job.number, count_primes(job));  // by its number, for it may be done twice
      jobs.task_done();
    }
  } catch (const mp::ManagerDied&) {  // there is no work any more
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc == 5 ? argv[1] : "";
  if (what != "work-for" && what != "work-with") {
    std::cerr << "usage: remote_workers work-for|work-with ADDRESS KEYFILE JOBS|PROCESSES\n";
    return 2;
  }
  std::string key;
  std::getline(std::ifstream(argv[3]), key);
  if (what == "work-for") return give_work(argv[2], key, std::stoi(argv[4])), 0;
  std::vector<mp::Process> workers;
  const mp::ProcessOptions options{.daemon = true};
  for (int i = 0; i < std::stoi(argv[4]); ++i) workers.emplace_back(options, work, argv[2], key).start();
  for (mp::Process& worker : workers) worker.join();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "remote_workers: " << error.what() << '\n';
  return 1;
}
