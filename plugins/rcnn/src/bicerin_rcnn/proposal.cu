// Boxes from anchors and deltas, and the choice among those that overlap, as in proposal_kernels.py.

// Boxes (images, places, 5) of x1, y1, x2, y2 and score; a thread has one, in the order (row, column, anchor). Scores are
// (images, 2 count, rows, columns), those of objects last, and deltas (images, 4 count, rows, columns).
extern "C" __global__ void decode(int n, const real* scores, const real* deltas, const real* anchors, const real* info,
                                  real* boxes, int count, int rows, int columns, int stride, int least, int info_rows,
                                  int info_columns) {
  ELEMENT(i, n);
  const int a = i % count, w = i / count % columns, h = i / count / columns % rows;
  const int image = i / count / columns / rows, area = rows * columns, place = h * columns + w;
  const real* size = info + (info_rows > 1 ? image * info_columns : 0);  // height, width, and scales of one or two
  const real* anchor = anchors + 4 * a;
  const real* delta = deltas + (long long)(image * count + a) * 4 * area + place;
  const real width = anchor[2] - anchor[0] + 1, height = anchor[3] - anchor[1] + 1;
  const real middle_x = w * stride + anchor[0] + (real)0.5 * width + delta[0] * width;
  const real middle_y = h * stride + anchor[1] + (real)0.5 * height + delta[area] * height;
  const real reach_x = (real)0.5 * exp(delta[2 * area]) * width, reach_y = (real)0.5 * exp(delta[3 * area]) * height;
  const real limit_x = size[1] - 1, limit_y = size[0] - 1;
  real* box = boxes + 5ll * i;
  box[0] = max(min(middle_x - reach_x, limit_x), (real)0);
  box[1] = max(min(middle_y - reach_y, limit_y), (real)0);
  box[2] = max(min(middle_x + reach_x, limit_x), (real)0);
  box[3] = max(min(middle_y + reach_y, limit_y), (real)0);
  const bool large = box[3] - box[1] + 1 >= least * size[2] && box[2] - box[0] + 1 >= least * size[info_columns - 1];
  box[4] = large ? scores[((long long)image * 2 * count + count + a) * area + place] : (real)0;
}

// The places in `kept` of up to `most` of an image's boxes, none of which overlaps with a better one by more than
// `threshold`, and how many they are. Boxes are (images, boxes, 5), the best first; `dropped` is zeros. A block has an
// image: when a box is kept, its threads look at those after it.
extern "C" __global__ void suppress(const real* boxes, int* dropped, int* kept, int* numbers, real threshold, int count,
                                    int most) {
  boxes += 5ll * blockIdx.x * count;
  dropped += (long long)blockIdx.x * count;
  int number = 0;
  for (int i = 0; i < count && number < most; ++i) {
    if (dropped[i]) continue;
    if (threadIdx.x == 0) kept[blockIdx.x * most + number] = i;
    ++number;
    const real* one = boxes + 5ll * i;
    const real area = (one[2] - one[0] + 1) * (one[3] - one[1] + 1);
    for (int j = i + 1 + threadIdx.x; j < count; j += BLOCK) {
      const real* other = boxes + 5ll * j;
      const real width = max(min(one[2], other[2]) - max(one[0], other[0]) + 1, (real)0);
      const real height = max(min(one[3], other[3]) - max(one[1], other[1]) + 1, (real)0);
      const real common = width * height, other_area = (other[2] - other[0] + 1) * (other[3] - other[1] + 1);
      if (common / (area + other_area - common) > threshold) dropped[j] = 1;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) numbers[blockIdx.x] = number;
}

// The boxes that are kept, image after image: (image, x1, y1, x2, y2), and their scores if `scored`. A thread has a place
// of `kept`.
extern "C" __global__ void gather(int n, const real* boxes, const int* kept, const int* numbers, real* regions,
                                  real* scores, bool scored, int count, int most) {
  ELEMENT(i, n);
  const int image = i / most;
  if (i % most >= numbers[image]) return;
  int row = i % most;
  for (int before = 0; before < image; ++before) row += numbers[before];
  const real* box = boxes + 5ll * (image * count + kept[i]);
  regions[5 * row] = image;
  for (int k = 0; k < 4; ++k) regions[5 * row + 1 + k] = box[k];
  if (scored) scores[row] = box[4];
}
