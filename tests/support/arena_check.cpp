#include "support/arena_check.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "memory/arena.hpp"

namespace multiprocessing::testing {
namespace {

class ArenaCheck {
 public:
  explicit ArenaCheck(memory::Arena& arena)
      : arena_(arena), header_(arena.header()), base_(reinterpret_cast<const char*>(&header_)) {}

  ArenaState run() {
    const memory::Arena::Locked locked(arena_);
    tile();
    check_free_runs();
    check_slab_lists();
    collect_owners();
    check_owners();
    check_object_entries();
    check_holds();
    if (header_.log.count.load() != 0) wrong() << "the undo log holds " << header_.log.count.load() << " entries";
    return {report_.str(), owned_bytes_};
  }

 private:
  using Word = memory::Word;
  using PageState = memory::PageState;
  static constexpr std::uint64_t page_bytes = memory::page_bytes;

  struct Extent {
    PageState state;
    int order;
  };

  std::ostream& wrong() { return report_ << "\n  "; }

  static std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }
  const memory::PageInfo& info(std::uint64_t page) const {
    return reinterpret_cast<const memory::PageInfo*>(base_ + header_.pages_at)[page];
  }
  static PageState state_of(const memory::PageInfo& page) { return static_cast<PageState>(value(page.state) & 0xff); }
  static int order_of(const memory::PageInfo& page) { return static_cast<int>(value(page.state) >> 8); }
  std::uint64_t offset(std::uint64_t page) const { return header_.heap_at + page * page_bytes; }
  std::uint64_t page(std::uint64_t at) const { return (at - header_.heap_at) / page_bytes; }

  // --- the heap ---

  void tile() {
    std::uint64_t used = 0;
    for (std::uint64_t at = 0; at < header_.heap_pages;) {
      const Extent extent{state_of(info(at)), order_of(info(at))};
      const std::uint64_t pages = extent.state == PageState::slab ? 1 : std::uint64_t{1} << extent.order;
      if (extent.state == PageState::other || at + pages > header_.heap_pages || at % pages != 0) {
        wrong() << "page " << at << " begins nothing: state " << value(info(at).state);
        return;
      }
      extents_[at] = extent;
      if (extent.state != PageState::free_run) used += pages * page_bytes;
      check_interior(at, pages);
      at += pages;
    }
    if (used != value(header_.heap_used)) {
      wrong() << "heap_used is " << value(header_.heap_used) << ", the taken pages add up to " << used;
    }
  }

  // Reading a page never touched would make it real, so a large run is only sampled: its first pages, and the
  // places where the upper halves of past splits began.
  void check_interior(std::uint64_t first, std::uint64_t pages) {
    const auto look = [&](std::uint64_t at) {
      if (value(info(at).state) != 0) wrong() << "page " << at << " claims a state inside the run at " << first;
    };
    for (std::uint64_t i = 1; i < std::min<std::uint64_t>(pages, 1024); ++i) look(first + i);
    for (std::uint64_t half = 1024; half < pages; half *= 2) look(first + half);
  }

  std::vector<std::uint64_t> list(const Word& head, const std::string& name) {
    std::vector<std::uint64_t> pages;
    std::uint64_t previous = 0;
    for (std::uint64_t at = value(head); at != 0; at = value(info(at - 1).next)) {
      if (at > header_.heap_pages || pages.size() > extents_.size()) {
        wrong() << name << " does not end";
        break;
      }
      if (value(info(at - 1).previous) != previous) wrong() << name << ": page " << at - 1 << " is linked wrongly";
      previous = at;
      pages.push_back(at - 1);
    }
    return pages;
  }

  void check_free_runs() {
    std::set<std::uint64_t> listed;
    for (int order = 0; order < memory::orders; ++order) {
      for (const std::uint64_t at : list(header_.free_runs[order], "free list " + std::to_string(order))) {
        const auto extent = extents_.find(at);
        if (extent == extents_.end() || extent->second.state != PageState::free_run || extent->second.order != order) {
          wrong() << "page " << at << " in free list " << order << " is no free run of that order";
        }
        if (!listed.insert(at).second) wrong() << "page " << at << " is in two free lists";
      }
    }
    for (const auto& [at, extent] : extents_) {
      if (extent.state != PageState::free_run) continue;
      if (!listed.contains(at)) wrong() << "the free run at page " << at << " is in no list";
      const auto buddy = extents_.find(at ^ std::uint64_t{1} << extent.order);
      if (buddy != extents_.end() && buddy->second.state == PageState::free_run &&
          buddy->second.order == extent.order && extent.order + 1 < memory::orders) {
        wrong() << "the free buddies at pages " << at << " and " << buddy->first << " are not one";
      }
      check_reads_as_zero(at, std::uint64_t{1} << extent.order);
    }
  }

  void check_reads_as_zero(std::uint64_t first, std::uint64_t pages) {
    static const char zeros[page_bytes] = {};
    pages = std::min<std::uint64_t>(pages, 2048);
    std::vector<unsigned char> resident(pages);
    char* start = const_cast<char*>(base_) + offset(first);
    if (::mincore(start, pages * page_bytes, resident.data()) != 0) return;
    for (std::uint64_t i = 0; i < pages; ++i) {
      if ((resident[i] & 1) != 0 && std::memcmp(start + i * page_bytes, zeros, page_bytes) != 0) {
        wrong() << "free page " << first + i << " does not read as zeros";
        return;
      }
    }
  }

  static std::uint64_t all_blocks(int slab_class) {
    const int blocks = 64 >> slab_class;
    return blocks == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << blocks) - 1;
  }

  void check_slab_lists() {
    std::set<std::uint64_t> listed;
    for (int slab_class = 0; slab_class < memory::slab_classes; ++slab_class) {
      for (const std::uint64_t at : list(header_.slabs[slab_class], "slab list " + std::to_string(slab_class))) {
        const auto extent = extents_.find(at);
        if (extent == extents_.end() || extent->second.state != PageState::slab || extent->second.order != slab_class ||
            value(info(at).bitmap) == 0) {
          wrong() << "page " << at << " in slab list " << slab_class << " is no slab with a free block of that class";
        }
        listed.insert(at);
      }
    }
    for (const auto& [at, extent] : extents_) {
      if (extent.state != PageState::slab) continue;
      const std::uint64_t bitmap = value(info(at).bitmap);
      if (extent.order >= memory::slab_classes || (bitmap & ~all_blocks(extent.order)) != 0) {
        wrong() << "the slab at page " << at << " has a bad bitmap";
      }
      if (bitmap != 0 && !listed.contains(at)) wrong() << "the slab at page " << at << " is in no list";
    }
  }

  // --- who owns what ---

  void own(std::uint64_t at, const std::string& who) {
    const auto [old, fresh] = owners_.emplace(at, who);
    if (!fresh) wrong() << "offset " << at << " belongs to " << old->second << " and to " << who;
  }

  void collect_owners() {
    const std::uint64_t objects = value(header_.objects_end);
    for (std::uint32_t index = 0; index < objects; ++index) {
      const memory::ObjectEntry& entry = arena_.object(index);
      if (value(entry.state) == 0) continue;
      const std::string name = "object " + std::to_string(index);
      own(value(entry.block), name);
      for (const std::uint64_t at : list(entry.runs, "the runs of " + name)) {
        own(offset(at), name);
        if (value(info(at).bitmap) != index + 1U) wrong() << "the run at page " << at << " does not name " << name;
      }
      for (std::uint64_t at = value(entry.cargo); at != 0;) {
        const auto& node = *reinterpret_cast<const memory::CargoNode*>(base_ + at);
        own(at, "cargo of " + name);
        ++pins_[static_cast<std::uint32_t>(value(node.object))];
        at = value(node.next);
      }
    }
    for (memory::MemberId id = 0; id < value(header_.members_end); ++id) {
      const std::uint64_t limbo = value(arena_.member(id).limbo);
      if (limbo != 0) own(limbo, "limbo of member " + std::to_string(id));
    }
  }

  void check_owners() {
    std::set<std::uint64_t> taken;
    for (const auto& [at, extent] : extents_) {
      if (extent.state == PageState::taken_run) {
        taken.insert(offset(at));
        owned_bytes_ += page_bytes << extent.order;
      }
      if (extent.state != PageState::slab || extent.order >= memory::slab_classes) continue;
      for (std::uint64_t used = all_blocks(extent.order) & ~value(info(at).bitmap); used != 0; used &= used - 1) {
        taken.insert(offset(at) + (static_cast<std::uint64_t>(std::countr_zero(used)) * 64U << extent.order));
        owned_bytes_ += 64U << extent.order;
      }
    }
    for (const std::uint64_t at : taken) {
      if (!owners_.contains(at)) wrong() << "offset " << at << " is taken and belongs to nobody";
    }
    for (const auto& [at, who] : owners_) {
      if (!taken.contains(at)) wrong() << "offset " << at << " of " << who << " is not taken";
    }
  }

  void check_object_entries() {
    const std::uint64_t end = value(header_.objects_end);
    std::uint64_t alive = 0;
    std::set<std::uint64_t> free;
    for (std::uint64_t at = value(header_.free_object); at != 0;) {
      if (at > end || !free.insert(at - 1).second) {
        wrong() << "the list of free objects does not end";
        break;
      }
      at = value(arena_.object(static_cast<std::uint32_t>(at - 1)).next);
    }
    for (std::uint32_t index = 0; index < end; ++index) {
      const memory::ObjectEntry& entry = arena_.object(index);
      const auto state = static_cast<memory::ObjectState>(value(entry.state));
      alive += state != memory::ObjectState::free;
      if ((state == memory::ObjectState::free) != free.contains(index)) {
        wrong() << "object " << index << " has state " << value(entry.state) << " and is "
                << (free.contains(index) ? "" : "not ") << "in the list of free ones";
      }
      if (state != memory::ObjectState::free && value(entry.pins) != pins_[index]) {
        wrong() << "object " << index << " has " << value(entry.pins) << " pins, " << pins_[index] << " name it";
      }
    }
    if (alive != value(header_.objects_alive)) {
      wrong() << "objects_alive is " << value(header_.objects_alive) << ", there are " << alive;
    }
  }

  void check_holds() {
    std::map<std::uint32_t, int> holders;
    for (memory::MemberId id = 0; id < value(header_.members_end); ++id) {
      const bool in_use = value(arena_.member(id).state) != 0;
      for (std::uint32_t first = 0; first < value(header_.objects_end); first += 64) {
        for (std::uint64_t bits = value(arena_.holding_word(id, first)); bits != 0; bits &= bits - 1) {
          const auto index = first + static_cast<std::uint32_t>(std::countr_zero(bits));
          ++holders[index];
          if (!in_use) wrong() << "member slot " << id << " is free and holds object " << index;
          if (value(arena_.object(index).state) == 0) wrong() << "member " << id << " holds the free object " << index;
        }
      }
    }
    for (std::uint32_t index = 0; index < value(header_.objects_end); ++index) {
      const auto state = static_cast<memory::ObjectState>(value(arena_.object(index).state));
      if (state == memory::ObjectState::alive && holders[index] == 0 && pins_[index] == 0) {
        wrong() << "object " << index << " is alive, and nobody holds it";
      }
      if (state == memory::ObjectState::dying && holders[index] != 1) {
        wrong() << "object " << index << " is dying under " << holders[index] << " members";
      }
    }
  }

  memory::Arena& arena_;
  memory::ArenaHeader& header_;
  const char* base_;
  std::ostringstream report_;
  std::uint64_t owned_bytes_ = 0;
  std::map<std::uint64_t, Extent> extents_;      // by first page
  std::map<std::uint64_t, std::string> owners_;  // by offset
  std::map<std::uint32_t, std::uint64_t> pins_;  // by object
};

}  // namespace

ArenaState look_at_arena() { return ArenaCheck(memory::Arena::get()).run(); }

}  // namespace multiprocessing::testing
