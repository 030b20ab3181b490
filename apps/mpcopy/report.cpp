#include "report.hpp"

#include "json_lines.hpp"
#include "text.hpp"
#include "worker_lines.hpp"

namespace mpcopy {
namespace {

using namespace std::chrono_literals;

// What a file costs beside its bytes, told in bytes: making one takes as long as copying about so many.  The bar
// would stand still in a tree of small files, or race through it, if it counted bytes alone.
constexpr std::uint64_t kBytesPerFile = 64U << 10U;

double work(const Amount& amount) {
  return static_cast<double>(amount.bytes + kBytesPerFile * (amount.files + amount.directories));
}

bool has_bar(Display display) { return display == Display::bar || display == Display::bars; }

std::chrono::milliseconds pause_of(Display display) { return display == Display::json ? 200ms : 50ms; }

}  // namespace

double fraction_of(const View& view) { return work(view.found) > 0 ? work(view.copied) / work(view.found) : 1.0; }

Report::Report(Display display, int workers)
    : display_(display),
      lines_(display == Display::bars ? WorkerLines::on_terminal(workers) : nullptr),
      bar_({.label = "copying", .unit = multiprocessing::ProgressUnit::bytes, .quiet = !has_bar(display)}) {}

Report::~Report() = default;

void Report::update(const View& view) {
  next_ = Clock::now() + pause_of(display_);
  if (display_ == Display::json) print_progress(view, Clock::now() - begin_);
  if (lines_) lines_->draw(view.workers);
  multiprocessing::ProgressState state{.done = view.copied.bytes, .note = grouped(view.copied.files) + " files"};
  if (view.found_all) {
    state.total = view.found.bytes;
    state.fraction = fraction_of(view);
  }
  bar_.update(std::move(state));
}

void Report::finish(const View& view) {
  update(view);
  if (lines_) lines_->clear();
  bar_.finish();
}

}  // namespace mpcopy
