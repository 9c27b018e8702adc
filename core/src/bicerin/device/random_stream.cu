// The numbers of random_stream.py. A thread makes a block of Philox4x64-10: 256 bits, 8 numbers.

struct Block { unsigned long long words[4]; };

__device__ inline unsigned int bits(const Block& block, int i) {
  return (unsigned int)(block.words[i / 2] >> (i % 2 * 32));
}

__device__ inline Block philox(long long key, int call, int block) {
  const unsigned long long first = 0xD2E7470EE14C6C93ull, second = 0xCA5A826395121157ull;
  unsigned long long a = (unsigned long long)block + 1, b = 0, c = 0, d = call, key_0 = key, key_1 = 0;
  for (int round = 0; round < 10; ++round) {
    const unsigned long long high_a = __umul64hi(first, a), high_c = __umul64hi(second, c);
    const unsigned long long low_a = first * a, low_c = second * c;
    a = high_c ^ b ^ key_0;
    b = low_c;
    c = high_a ^ d ^ key_1;
    d = low_a;
    key_0 += 0x9E3779B97F4A7C15ull;
    key_1 += 0xBB67AE8584CAA73Bull;
  }
  return {{a, b, c, d}};
}

extern "C" __global__ void uniform(int n, int size, long long key, int call, int dropped, real scale, real shift,
                                   real* out) {
  ELEMENT(block, n);
  const Block random = philox(key, call, block);
  for (int i = 0; i < min(8, size - 8 * block); ++i)
    out[8 * block + i] = (real)(bits(random, i) >> dropped) * scale + shift;
}

extern "C" __global__ void normal(int n, int size, long long key, int call, real mean, real deviation, real* out) {
  ELEMENT(block, n);
  const Block random = philox(key, call, block);
  for (int i = 0; i < min(8, size - 8 * block); i += 2) {
    const real chance = (real)bits(random, i) * (real)2.3283064365386962890625e-10 + (real)1.16415321826934814453125e-10;
    const real radius = sqrt((real)-2 * log(chance)) * deviation;
    const real angle = (real)bits(random, i + 1) * (real)1.4629180792671596e-09;
    out[8 * block + i] = radius * cos(angle) + mean;
    if (8 * block + i + 1 < size) out[8 * block + i + 1] = radius * sin(angle) + mean;
  }
}
