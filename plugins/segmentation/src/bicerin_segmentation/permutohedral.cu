// The permutohedral lattice: a thread has one point, one value of a point, or one value on the lattice.

#define MOST 16  // corners of a simplex

// A product that is not fused with an addition after it: the CPU's numbers, to the bit, decide between simplices.
#ifdef __CUDA_ARCH__
#define PRODUCT(a, b) __fmul_rn(a, b)
#else
#define PRODUCT(a, b) ((a) * (b))
#endif

extern "C" __global__ void simplices(int n, const float* features, int* keys, float* weights, int d) {
  ELEMENT(p, n);
  float elevated[MOST], apart[MOST];
  int corner[MOST], rank[MOST];
  const float down = (float)(1.0 / (d + 1));
  float total = 0;
  for (int j = d; j > 0; --j) {
    const float scale = (float)(sqrt(2.0 / 3.0) * (d + 1) / sqrt(j * (j + 1.0)));
    const float scaled = PRODUCT(features[p * d + j - 1], scale);
    elevated[j] = total - PRODUCT((float)j, scaled);
    total = total + scaled;
  }
  elevated[0] = total;
  int beyond = 0;
  for (int i = 0; i <= d; ++i) {
    const int nearest = (int)rintf(PRODUCT(elevated[i], down));
    beyond += nearest;
    corner[i] = nearest * (d + 1);
    apart[i] = elevated[i] - (float)corner[i];
    rank[i] = 0;
  }
  for (int i = 0; i <= d; ++i)
    for (int j = i + 1; j <= d; ++j) {
      if (apart[i] < apart[j]) ++rank[i];
      else ++rank[j];
    }
  for (int i = 0; i <= d; ++i) {
    rank[i] += beyond;
    const int step = (rank[i] < 0) - (rank[i] > d);
    rank[i] += step * (d + 1);
    corner[i] += step * (d + 1);
  }
  for (int i = 0; i <= d; ++i) apart[rank[i]] = PRODUCT(elevated[i] - (float)corner[i], down);
  weights[p * (d + 1)] = 1 + apart[d] - apart[0];
  for (int k = 1; k <= d; ++k) weights[p * (d + 1) + k] = apart[d - k] - apart[d - k + 1];
  for (int k = 0; k <= d; ++k)
    for (int i = 0; i < d; ++i) keys[(p * (d + 1) + k) * d + i] = corner[i] + (rank[i] <= d - k ? k : k - d - 1);
}

extern "C" __global__ void splat(int n, const real* x, const int* corners, const real* weights, real* values, int count,
                                 int size, int points) {
  ELEMENT(i, n);
  const int p = i % count;
  real* plane = values + (long long)(i / count) * (points + 1);
  for (int k = 0; k < size; ++k) atomicAdd(&plane[corners[p * size + k]], weights[p * size + k] * x[i]);
}

extern "C" __global__ void blur_axis(int n, const real* values, const int* beside, real* blurred, int points) {
  ELEMENT(i, n);
  const int m = i % points;
  const long long plane = (long long)(i / points) * (points + 1);
  blurred[plane + m] = values[plane + m] + (real)0.5 * (values[plane + beside[2 * m]] + values[plane + beside[2 * m + 1]]);
}

extern "C" __global__ void slice_points(int n, const real* values, const int* corners, const real* weights, real* y,
                                        int count, int size, int points, real scale) {
  ELEMENT(i, n);
  const int p = i % count;
  const real* plane = values + (long long)(i / count) * (points + 1);
  real sum = 0;
  for (int k = 0; k < size; ++k) sum += weights[p * size + k] * plane[corners[p * size + k]];
  y[i] = sum * scale;
}
