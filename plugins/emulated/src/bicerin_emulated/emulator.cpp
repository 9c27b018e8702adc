// Runs a grid of threads on the CPU, one after the other, each in a fiber that a barrier suspends.
//
// Kernels compiled with -fsanitize=thread report every access to memory here, through the functions that the compiler
// calls for it. They are compared with the arrays that the kernel was given, and with what other threads did to the
// same place with no barrier in between.
#include "emulator.h"

#include <algorithm>
#include <csetjmp>
#include <dlfcn.h>
#include <memory>
#include <numeric>
#include <random>
#include <ucontext.h>
#include <unordered_map>
#include <vector>

namespace emulator {

Context context;

enum Problem : int { NONE, DIVERGENT_BARRIER, OUT_OF_BOUNDS, RACE };
enum Kind : int { READ, WRITE, ATOMIC };

// What Python is told. Places in the code are offsets in the kernel's library.
struct Report {
  int problem, kind, other_kind, size;
  unsigned thread[3], block[3];
  size_t address, place, other_place;
};

struct Range { size_t start, stop; };

namespace {

constexpr size_t STACK = 1 << 16;

struct Fiber {
  std::unique_ptr<char[]> stack{new char[STACK]};
  ucontext_t start;
  jmp_buf state;
  unsigned thread = 0;
  bool started = false, finished = false;
};

struct Access { unsigned thread, block, epoch; int kind; void* code; };
struct History { Access write, read, other_read; bool written = false, read_once = false, read_twice = false; };

jmp_buf scheduler;
Fiber* current = nullptr;
void (*kernel)(void**) = nullptr;
void** arguments = nullptr;
Report* report = nullptr;
std::vector<Range> arrays;
Range shared;
unsigned block_number, epoch;
std::unordered_map<size_t, History> histories;

void suspend() {
  if (!_setjmp(current->state)) _longjmp(scheduler, 1);
}

void fiber_main() {
  for (;;) {
    kernel(arguments);
    current->finished = true;
    suspend();
  }
}

void resume(Fiber& fiber) {
  current = &fiber;
  const unsigned t = fiber.thread;
  const dim3& size = context.block_size;
  context.thread = {t % size.x, t / size.x % size.y, t / size.x / size.y};
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.state, 1);
  fiber.started = true;
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack.get();
  fiber.start.uc_stack.ss_size = STACK;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, fiber_main, 0);
  setcontext(&fiber.start);
}

size_t place_in_library(void* code) {
  Dl_info info;
  return dladdr(code, &info) ? size_t(code) - size_t(info.dli_fbase) - 1 : 0;
}

// The thread goes no further, so that a wrong access is not made.
void fail(Problem problem, const Access& now, size_t address, int size, const Access* before) {
  if (report->problem == NONE) {
    *report = {problem, now.kind, before ? before->kind : 0, size,
               {context.thread.x, context.thread.y, context.thread.z},
               {context.block.x, context.block.y, context.block.z},
               address, place_in_library(now.code), before ? place_in_library(before->code) : 0};
  }
  suspend();
}

bool ordered(const Access& before, const Access& now) {
  if (before.thread == now.thread && before.block == now.block) return true;
  return before.block == now.block && before.epoch < now.epoch;
}

void check_race(History& history, const Access& now, size_t address, int size) {
  if (history.written && !ordered(history.write, now) && !(history.write.kind == ATOMIC && now.kind == ATOMIC))
    fail(RACE, now, address, size, &history.write);
  if (now.kind != READ) {
    if (history.read_once && !ordered(history.read, now)) fail(RACE, now, address, size, &history.read);
    if (history.read_twice && !ordered(history.other_read, now)) fail(RACE, now, address, size, &history.other_read);
    history.write = now;
    history.written = true;
    history.read_once = history.read_twice = false;
  } else if (!history.read_once || (history.read.thread == now.thread && history.read.block == now.block)) {
    history.read = now;
    history.read_once = true;
  } else {
    history.other_read = now;
    history.read_twice = true;
  }
}

void check(void* pointer, int size, Kind kind, void* code) {
  if (!current) return;
  const size_t start = size_t(pointer), stop = start + size;
  const auto inside = [&](size_t from, size_t to) { return from <= start && stop <= to; };
  if (inside(size_t(&context), size_t(&context + 1))) return;
  if (inside(size_t(current->stack.get()), size_t(current->stack.get()) + STACK)) return;
  const Access now{current->thread, block_number, epoch, kind, code};
  bool known = inside(shared.start, shared.stop);
  for (const Range& array : arrays) known = known || inside(array.start, array.stop);
  if (!known) {
    Dl_info info;
    if (kind == READ && dladdr(pointer, &info)) return;  // a constant of the kernel's
    fail(OUT_OF_BOUNDS, now, start, size, nullptr);
  }
  // 4 bytes are the smallest that kernels of ours share.
  for (size_t address = start / 4 * 4; address < stop; address += 4) check_race(histories[address], now, start, size);
}

template <class T, class Change> T atomic(T* place, Change change, void* code, bool checked) {
  if (checked) check(place, sizeof(T), ATOMIC, code);
  const T before = *place;
  *place = change(before);
  return before;
}

bool checks = false;

}  // namespace

void barrier() { suspend(); }

#define EMULATED_ATOMIC(change) atomic(place, change, __builtin_return_address(0), checks)
float add(float* place, float value) { return EMULATED_ATOMIC([=](float old) { return old + value; }); }
double add(double* place, double value) { return EMULATED_ATOMIC([=](double old) { return old + value; }); }
int add(int* place, int value) { return EMULATED_ATOMIC([=](int old) { return old + value; }); }
unsigned add(unsigned* place, unsigned value) { return EMULATED_ATOMIC([=](unsigned old) { return old + value; }); }
int largest(int* place, int value) { return EMULATED_ATOMIC([=](int old) { return std::max(old, value); }); }
int smallest(int* place, int value) { return EMULATED_ATOMIC([=](int old) { return std::min(old, value); }); }
int exchange(int* place, int value) { return EMULATED_ATOMIC([=](int) { return value; }); }
int compare_and_swap(int* place, int expected, int value) {
  return EMULATED_ATOMIC([=](int old) { return old == expected ? value : old; });
}

}  // namespace emulator

using namespace emulator;

// order: 0 forward, 1 reverse, 2 shuffled by the seed.
extern "C" int emulate(void (*call)(void**), void** call_arguments, const unsigned* grid, const unsigned* block,
                       int order, unsigned seed, const Range* given, int given_number, char* shared_start,
                       char* shared_stop, int checked, Report* told) {
  static std::vector<std::unique_ptr<Fiber>> idle;
  kernel = call;
  arguments = call_arguments;
  report = told;
  checks = checked;
  arrays.assign(given, given + given_number);
  shared = {size_t(shared_start), size_t(shared_stop)};
  histories.clear();
  context.grid_size = {grid[0], grid[1], grid[2]};
  context.block_size = {block[0], block[1], block[2]};
  std::vector<unsigned> blocks(size_t(grid[0]) * grid[1] * grid[2]), threads(block[0] * block[1] * block[2]);
  std::mt19937 random(seed);
  for (auto* numbers : {&blocks, &threads}) {
    std::iota(numbers->begin(), numbers->end(), 0);
    if (order == 1) std::reverse(numbers->begin(), numbers->end());
    if (order == 2) std::shuffle(numbers->begin(), numbers->end(), random);
  }
  std::vector<std::unique_ptr<Fiber>> waiting, still_waiting;
  for (unsigned number : blocks) {
    block_number = number;
    context.block = {number % grid[0], number / grid[0] % grid[1], number / grid[0] / grid[1]};
    if (shared.start != shared.stop) {
      std::memset(shared_start, 0xff, shared_stop - shared_start);  // NaN
      if (checked)
        for (size_t address = shared.start / 4 * 4; address < shared.stop; address += 4) histories.erase(address);
    }
    epoch = 0;
    waiting.clear();
    for (unsigned thread : threads) {
      if (idle.empty()) idle.push_back(std::make_unique<Fiber>());
      Fiber& fiber = *idle.back();
      fiber.thread = thread;
      fiber.finished = false;
      resume(fiber);
      if (report->problem) goto failed;
      if (!fiber.finished) {
        waiting.push_back(std::move(idle.back()));
        idle.pop_back();
      }
    }
    if (!waiting.empty() && waiting.size() < threads.size()) {
      report->problem = DIVERGENT_BARRIER;
      goto failed;
    }
    while (!waiting.empty()) {
      const size_t before = waiting.size();
      if (order == 2) std::shuffle(waiting.begin(), waiting.end(), random);
      ++epoch;
      still_waiting.clear();
      for (auto& fiber : waiting) {
        resume(*fiber);
        if (report->problem) goto failed;
        (fiber->finished ? idle : still_waiting).push_back(std::move(fiber));
      }
      waiting.swap(still_waiting);
      if (!waiting.empty() && waiting.size() < before) {
        report->problem = DIVERGENT_BARRIER;
        goto failed;
      }
    }
  }
  current = nullptr;
  return 0;

failed:
  // Fibers that stand in the middle of the kernel cannot be used again.
  current = nullptr;
  idle.clear();
  return report->problem;
}

#define HOOK(name, size, kind) \
  extern "C" void name(void* pointer) { check(pointer, size, kind, __builtin_return_address(0)); }
#define HOOKS(size) \
  HOOK(__tsan_read##size, size, READ) HOOK(__tsan_write##size, size, WRITE) \
  HOOK(__tsan_unaligned_read##size, size, READ) HOOK(__tsan_unaligned_write##size, size, WRITE)
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16)
extern "C" void __tsan_read_range(void* pointer, size_t size) { check(pointer, size, READ, __builtin_return_address(0)); }
extern "C" void __tsan_write_range(void* pointer, size_t size) { check(pointer, size, WRITE, __builtin_return_address(0)); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
