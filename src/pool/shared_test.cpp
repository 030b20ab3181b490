// mp::shared: constants of many tasks.
#include "multiprocessing/shared.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "multiprocessing/queue.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

// Counts how often it is encoded and decoded, in whichever process.
testing::Shared<int>* encoded = nullptr;
testing::Shared<int>* decoded = nullptr;

struct Model {
  std::vector<double> weights;
  template <class Archive>
  void save(Archive& ar) const {
    encoded->add(1);
    ar(weights);
  }
  template <class Archive>
  void load(Archive& ar) {
    decoded->add(1);
    ar(weights);
  }
};

double score(const Model& model, int x) { return model.weights[static_cast<std::size_t>(x)]; }

struct Score {
  multiprocessing::Shared<Model> model;
  double operator()(int x) const { return model->weights[static_cast<std::size_t>(x)]; }
};

class SharedConstant : public ::testing::Test {
 protected:
  SharedConstant() {
    encoded = &encoded_;
    decoded = &decoded_;
  }
  testing::Shared<int> encoded_;
  testing::Shared<int> decoded_;
};

Model four() { return {{0.5, 1.5, 2.5, 3.5}}; }

TEST_F(SharedConstant, IsEncodedOnceAndDecodedOnceInEachWorker) {
  Pool pool(2);
  const auto model = shared(four());
  std::vector<AsyncResult<double>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async(score, model, i % 4));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), 0.5 + i % 4);
  EXPECT_EQ(encoded_.get(), 1);
  EXPECT_LE(decoded_.get(), 2);
  EXPECT_EQ(model->weights.size(), 4U);
}

TEST_F(SharedConstant, IsTakenAsItselfByReferenceAndByValue) {
  Pool pool(1);
  const auto model = shared(four());
  EXPECT_EQ(pool.apply(score, model, 2), 2.5);
  EXPECT_EQ(pool.apply([](Model m, int x) { return m.weights[static_cast<std::size_t>(x)]; }, model, 3), 3.5);
  EXPECT_EQ(pool.apply([](multiprocessing::Shared<Model> m, int x) { return m->weights[static_cast<std::size_t>(x)]; },
                       model, 1),
            1.5);
  EXPECT_EQ(pool.map(Score{model}, std::vector{3, 0}), (std::vector{3.5, 0.5}));
  EXPECT_EQ(decoded_.get(), 1);
}

TEST_F(SharedConstant, OfAReplacedWorkerIsDecodedAgain) {
  Pool pool({.processes = 1, .max_tasks_per_child = 1});
  const auto model = shared(four());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pool.apply(score, model, i), 0.5 + i);
  EXPECT_EQ(encoded_.get(), 1);
  EXPECT_EQ(decoded_.get(), 4);
}

TEST_F(SharedConstant, ManyDoNotMixUp) {
  Pool pool(2);
  std::vector<multiprocessing::Shared<std::string>> texts;
  for (int i = 0; i < 30; ++i) texts.push_back(shared(std::string(static_cast<std::size_t>(i), 'x')));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(pool.apply([](const std::string& text) { return static_cast<int>(text.size()); },
                           texts[static_cast<std::size_t>(i)]),
                i);
    }
  }
}

TEST_F(SharedConstant, TravelsThroughQueues) {
  Queue<multiprocessing::Shared<Model>> queue;
  queue.put(shared(four()));
  EXPECT_EQ(queue.get()->weights[1], 1.5);
}

TEST_F(SharedConstant, WithHandlesInItIsRefused) {
  EXPECT_THROW(static_cast<void>(shared(std::vector{Queue<int>()})), NotSendable);
}

}  // namespace
}  // namespace multiprocessing
