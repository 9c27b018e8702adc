// Bilinear samples of images (items, channels, height, width) at places (items, number, 2), row and column. Beyond the
// borders is 0.

// The pixel before a place, and how far on to the next it is; whether any pixel around it is inside.
__device__ inline bool around(const real* place, int height, int width, int* row, int* column, real* down, real* right) {
  if (!(place[0] > -1 && place[0] < height && place[1] > -1 && place[1] < width)) return false;
  *row = (int)floor(place[0]);
  *column = (int)floor(place[1]);
  *down = place[0] - *row;
  *right = place[1] - *column;
  return true;
}

extern "C" __global__ void sample(int n, const real* x, const real* places, real* y, int channels, int height, int width,
                                  int number) {
  ELEMENT(i, n);
  int row, column;
  real down, right, total = 0;
  const real* plane = x + i / number * height * width;
  if (around(places + (i / number / channels * number + i % number) * 2, height, width, &row, &column, &down, &right)) {
    for (int a = 0; a < 2; ++a)
      for (int b = 0; b < 2; ++b)
        if (row + a >= 0 && row + a < height && column + b >= 0 && column + b < width)
          total += (a ? down : 1 - down) * (b ? right : 1 - right) * plane[(row + a) * width + column + b];
  }
  y[i] = total;
}

extern "C" __global__ void spread_gradient(int n, const real* y_diff, const real* places, real* x_diff, int channels,
                                           int height, int width, int number) {
  ELEMENT(i, n);
  int row, column;
  real down, right;
  real* plane = x_diff + i / number * height * width;
  if (!around(places + (i / number / channels * number + i % number) * 2, height, width, &row, &column, &down, &right))
    return;
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 2; ++b)
      if (row + a >= 0 && row + a < height && column + b >= 0 && column + b < width)
        atomicAdd(&plane[(row + a) * width + column + b],
                  (a ? down : 1 - down) * (b ? right : 1 - right) * y_diff[i]);
}

// A thread has a place of an item, and sums over its channels.
extern "C" __global__ void place_gradient(int n, const real* x, const real* y_diff, const real* places, real* moves,
                                          int channels, int height, int width, int number) {
  ELEMENT(i, n);
  int row, column;
  real down, right, by_row = 0, by_column = 0;
  if (around(places + i * 2, height, width, &row, &column, &down, &right)) {
    for (int c = 0; c < channels; ++c) {
      const int plane = i / number * channels + c;
      const real diff = y_diff[plane * number + i % number];
      for (int a = 0; a < 2; ++a)
        for (int b = 0; b < 2; ++b)
          if (row + a >= 0 && row + a < height && column + b >= 0 && column + b < width) {
            const real value = x[(plane * height + row + a) * width + column + b] * diff;
            by_row += (a ? value : -value) * (b ? right : 1 - right);
            by_column += (b ? value : -value) * (a ? down : 1 - down);
          }
    }
  }
  moves[i * 2] = by_row;
  moves[i * 2 + 1] = by_column;
}
