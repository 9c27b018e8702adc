// Planes between two matrices with bands: y = D x A^T.

extern "C" __global__ void banded(int n, const real* x, const real* down, const int* rows, const real* across,
                                  const int* columns, real* y, int height, int width, int tall, int wide) {
  ELEMENT(i, n);
  const int v = i % wide, u = i / wide % tall;
  const real* plane = x + (long long)(i / wide / tall) * height * width;
  real sum = 0;
  for (int h = rows[2 * u]; h < rows[2 * u + 1]; ++h) {
    real line = 0;
    for (int w = columns[2 * v]; w < columns[2 * v + 1]; ++w) line += across[v * width + w] * plane[h * width + w];
    sum += down[u * height + h] * line;
  }
  y[i] = sum;
}
