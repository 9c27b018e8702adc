// Rows of `columns` elements of a table, by an index of 0 to rows - 1 for each; a thread has one element of the result.

__device__ inline bool is_row(real index, int rows) { return index >= 0 && index < rows && index == floor(index); }

extern "C" __global__ void look_up(int n, const real* index, const real* table, real* y, int rows, int columns) {
  ELEMENT(i, n);
  const real row = index[i / columns];
  y[i] = is_row(row, rows) ? table[(int)row * columns + i % columns] : (real)NAN;
}

// An index may come several times, and its gradients add up.
extern "C" __global__ void add_rows(int n, const real* index, const real* y_diff, real* table_diff, int rows,
                                    int columns) {
  ELEMENT(i, n);
  const real row = index[i / columns];
  if (is_row(row, rows)) atomicAdd(&table_diff[(int)row * columns + i % columns], y_diff[i]);
}
