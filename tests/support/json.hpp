// A strict reader of JSON, for tests of files that other programs read.
//
//   const Json file = read_json(text);         // throws std::runtime_error where it is not JSON
//   file.items[0]["name"].text
#pragma once

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace multiprocessing::testing {

struct Json {
  enum class Kind { nothing, boolean, number, text, array, object };
  Kind kind = Kind::nothing;
  double number = 0;  // boolean: 0 or 1
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> fields;

  const Json& operator[](const std::string& name) const {
    static const Json none;
    const auto found = fields.find(name);
    return found != fields.end() ? found->second : none;
  }
  [[nodiscard]] bool has(const std::string& name) const { return fields.contains(name); }
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}
  Json whole() {
    Json value = read();
    skip();
    if (at_ != text_.size()) fail("something behind the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("JSON: " + what + " at byte " + std::to_string(at_) + ": " +
                             std::string(text_.substr(at_, 60)));
  }
  void skip() {
    while (at_ < text_.size() && std::string_view(" \n\r\t").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  char peek() {
    skip();
    if (at_ == text_.size()) fail("it ends");
    return text_[at_];
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("no ") + c);
  }
  Json read() {
    Json value;
    const char c = peek();
    if (c == '{') {
      value.kind = Json::Kind::object;
      ++at_;
      for (bool more = !take('}'); more; more = !take('}')) {
        if (!value.fields.empty()) expect(',');
        if (peek() != '"') fail("no name");
        const std::string name = read_text();
        expect(':');
        if (!value.fields.emplace(name, read()).second) fail("twice the name " + name);
      }
    } else if (c == '[') {
      value.kind = Json::Kind::array;
      ++at_;
      for (bool more = !take(']'); more; more = !take(']')) {
        if (!value.items.empty()) expect(',');
        value.items.push_back(read());
      }
    } else if (c == '"') {
      value.kind = Json::Kind::text;
      value.text = read_text();
    } else {
      read_word(value);
    }
    return value;
  }
  std::string read_text() {
    ++at_;
    std::string text;
    for (;;) {
      if (at_ == text_.size()) fail("a text without an end");
      const char c = text_[at_++];
      if (c == '"') return text;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a text");
      if (c != '\\') {
        text += c;
        continue;
      }
      const char escaped = at_ < text_.size() ? text_[at_++] : '\0';
      if (escaped != '"' && escaped != '\\') fail("an escape that nobody writes here");
      text += escaped;
    }
  }
  void read_word(Json& value) {
    const std::size_t end = text_.find_first_of(" \n\r\t,]}", at_);
    const std::string word(text_.substr(at_, end == std::string_view::npos ? end : end - at_));
    at_ += word.size();
    if (word == "null") return;
    value.kind = Json::Kind::boolean;
    value.number = word == "true";
    if (word == "true" || word == "false") return;
    value.kind = Json::Kind::number;
    char* rest = nullptr;
    value.number = std::strtod(word.c_str(), &rest);
    if (word.empty() || *rest != '\0') fail("no number: " + word);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

inline Json read_json(std::string_view text) { return JsonReader(text).whole(); }

}  // namespace multiprocessing::testing
