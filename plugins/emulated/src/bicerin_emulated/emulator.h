// CUDA C as C++: what nvcc knows by itself, put before a kernel's source. The grid is run by emulator.cpp.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

struct uint3 { unsigned x, y, z; };
typedef uint3 dim3;

namespace emulator {
// Of the thread that runs at the moment.
struct Context { uint3 thread, block; dim3 block_size, grid_size; };
extern Context context;
void barrier();
// What another thread may change at the same time, and only so: counted as no race with its like.
float add(float*, float);
double add(double*, double);
int add(int*, int);
unsigned add(unsigned*, unsigned);
int largest(int*, int);
int smallest(int*, int);
int exchange(int*, int);
int compare_and_swap(int*, int, int);
}

#define threadIdx emulator::context.thread
#define blockIdx emulator::context.block
#define blockDim emulator::context.block_size
#define gridDim emulator::context.grid_size

#define __global__ static
#define __device__ static
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __constant__ static
// Blocks run one after the other, so that one copy serves them all; the emulator spoils it before each block.
#define __shared__ static __attribute__((section("emulated_shared")))
#define __syncthreads emulator::barrier

using std::abs; using std::exp; using std::log; using std::pow; using std::sqrt; using std::tanh; using std::fabs;
using std::floor; using std::ceil; using std::round; using std::trunc; using std::fmin; using std::fmax; using std::fma;
using std::log1p; using std::expm1; using std::sin; using std::cos; using std::isnan; using std::isinf; using std::rint;
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
template <class T> static inline T rsqrt(T x) { return T(1) / std::sqrt(x); }

#define EMULATED_MIN_MAX(T) \
  static inline T max(T a, T b) { return a < b || b != b ? (b != b ? a : b) : (a != a ? b : a); } \
  static inline T min(T a, T b) { return b < a || a != a ? b : a; }
EMULATED_MIN_MAX(int) EMULATED_MIN_MAX(unsigned) EMULATED_MIN_MAX(long long)
EMULATED_MIN_MAX(float) EMULATED_MIN_MAX(double)

#define atomicAdd emulator::add
#define atomicMax emulator::largest
#define atomicMin emulator::smallest
#define atomicExch emulator::exchange
#define atomicCAS emulator::compare_and_swap

namespace emulator {
template <class T> constexpr const char* code() {
  if constexpr (std::is_pointer_v<T>) {
    using V = std::remove_pointer_t<T>;
    if constexpr (std::is_const_v<V>) {
      if constexpr (std::is_same_v<V, const float>) return "const f4*";
      else if constexpr (std::is_same_v<V, const double>) return "const f8*";
      else if constexpr (std::is_same_v<V, const int>) return "const i4*";
      else if constexpr (std::is_same_v<V, const unsigned>) return "const u4*";
      else if constexpr (std::is_same_v<V, const long long>) return "const i8*";
      else if constexpr (std::is_same_v<V, const bool>) return "const b1*";
      else return "?";
    }
    else if constexpr (std::is_same_v<V, float>) return "f4*";
    else if constexpr (std::is_same_v<V, double>) return "f8*";
    else if constexpr (std::is_same_v<V, int>) return "i4*";
    else if constexpr (std::is_same_v<V, unsigned>) return "u4*";
    else if constexpr (std::is_same_v<V, long long>) return "i8*";
    else if constexpr (std::is_same_v<V, bool>) return "b1*";
    else return "?";
  }
  else if constexpr (std::is_same_v<T, float>) return "f4";
  else if constexpr (std::is_same_v<T, double>) return "f8";
  else if constexpr (std::is_same_v<T, int>) return "i4";
  else if constexpr (std::is_same_v<T, unsigned>) return "u4";
  else if constexpr (std::is_same_v<T, long long>) return "i8";
  else if constexpr (std::is_same_v<T, bool>) return "b1";
  else return "?";
}
template <class... A> static const char* signature(void (*)(A...)) {
  static char text[1024];
  text[0] = 0;
  ((std::strcat(text, code<std::remove_cv_t<A>>()), std::strcat(text, ",")), ...);
  return text;
}
template <class... A, size_t... I>
__attribute__((no_sanitize_thread, no_sanitize_address))
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}
template <class... A> __attribute__((no_sanitize_thread, no_sanitize_address))
static void call(void (*kernel)(A...), void** arguments) { call(kernel, arguments, std::index_sequence_for<A...>{}); }
}

extern "C" {
extern char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
char* emulated_shared_start() { return __start_emulated_shared; }
char* emulated_shared_stop() { return __stop_emulated_shared; }
}

#define EMULATED_EXPORT(name) \
  extern "C" const char* emulated_signature_##name() { return emulator::signature(&name); } \
  extern "C" void emulated_call_##name(void** arguments) { emulator::call(&name, arguments); }
