// Arguments: `--name value` and `--flag`, which is all that the benchmark programs need.  Every program of one
// topic takes the same words, so that the runner starts rivals written in C++ and in Python alike.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

class Arguments {
 public:
  Arguments(int argc, char** argv) : words_(argv + 1, argv + argc) {}

  bool flag(std::string_view name) const { return find(name).has_value(); }

  // What follows the name; empty: it was not given.
  std::string_view word(std::string_view name) const {
    const auto at = find(name);
    return at && *at + 1 < words_.size() ? words_[*at + 1] : std::string_view{};
  }

  std::size_t number(std::string_view name, std::size_t fallback) const {
    const auto at = find(name);
    if (!at) return fallback;
    std::size_t value = 0;
    const std::string_view text = *at + 1 < words_.size() ? words_[*at + 1] : std::string_view{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0)
      throw std::invalid_argument("--" + std::string(name) + " wants a positive number");
    return value;
  }

 private:
  std::optional<std::size_t> find(std::string_view name) const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (words_[i].starts_with("--") && words_[i].substr(2) == name) return i;
    return std::nullopt;
  }

  std::vector<std::string_view> words_;
};

}  // namespace bench
