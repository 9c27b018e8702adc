// What is computed of boxes, given by their centres and sizes, as in boxes_kernels.py.

__device__ inline real sigmoid(real x) { return 1 / (1 + exp(-x)); }

__device__ inline real overlap(real x, real y, real w, real h, real u, real v, real p, real q) {
  const real width = min(x + w / 2, u + p / 2) - max(x - w / 2, u - p / 2);
  const real height = min(y + h / 2, v + q / 2) - max(y - h / 2, v - q / 2);
  if (width < 0 || height < 0) return 0;
  const real common = width * height;
  return common / (w * h + p * q - common);
}
