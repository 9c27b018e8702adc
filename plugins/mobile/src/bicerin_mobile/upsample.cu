// Planes (P, H, W) with each pixel repeated, or put back where a pooling took it from.

extern "C" __global__ void repeat(int n, const real* x, real* y, int height, int width, int scale) {
  ELEMENT(i, n);
  const int w = i % (width * scale), h = i / (width * scale) % (height * scale);
  y[i] = x[(i / (width * scale) / (height * scale) * height + h / scale) * width + w / scale];
}

extern "C" __global__ void repeat_backward(int n, const real* y_diff, real* x_diff, int height, int width, int scale) {
  ELEMENT(i, n);
  const int w = i % width, row = i / width;  // over all planes
  real sum = 0;
  for (int a = 0; a < scale; ++a)
    for (int b = 0; b < scale; ++b) sum += y_diff[(row * scale + a) * width * scale + w * scale + b];
  x_diff[i] = sum;
}

// Which pixel each place of the large planes takes, the last that goes there; `source` is -1 before. A place outside,
// which the CPU refuses, leaves a mark in its plane.
extern "C" __global__ void find_sources(int n, const real* places, int* source, int small, int large) {
  ELEMENT(i, n);
  const real place = places[i];
  const int plane = i / small * large;
  if (place > -1 && place < large) atomicMax(&source[plane + (int)place], i);
  else atomicMax(&source[plane], 0x7fffffff);
}

extern "C" __global__ void put_back(int n, const real* x, const int* source, real* y) {
  ELEMENT(i, n);
  y[i] = source[i] < 0 ? (real)0 : source[i] == 0x7fffffff ? (real)NAN : x[source[i]];
}

extern "C" __global__ void put_back_backward(int n, const real* y_diff, const real* places, real* x_diff, int small,
                                             int large) {
  ELEMENT(i, n);
  const real place = places[i];
  x_diff[i] = place > -1 && place < large ? y_diff[i / small * large + (int)place] : (real)NAN;
}
