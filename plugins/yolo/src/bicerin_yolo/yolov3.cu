// D of Yolov3, as in yolov3_kernels.py. Predictions x and delta are (images, count, numbers, height, width), objects
// (images, most, 5): class, x, y, width, height; the image is rows x columns pixels.

#define GENERALIZED 2
#define DISTANCE 3
#define COMPLETE 4
#define TINY ((real)1e-6)
#define PI_SQUARED ((real)9.869604401089358)

__device__ inline real likeness(int form, real x, real y, real w, real h, real u, real v, real p, real q) {
  const real shared = overlap(x, y, w, h, u, v, p, q);
  if (form < GENERALIZED) return shared;
  const real width = max(x + w / 2, u + p / 2) - min(x - w / 2, u - p / 2);
  const real height = max(y + h / 2, v + q / 2) - min(y - h / 2, v - q / 2);
  if (form == GENERALIZED) {
    const real around = width * height;
    if (around == 0) return shared;
    const real common_width = min(x + w / 2, u + p / 2) - max(x - w / 2, u - p / 2);
    const real common_height = min(y + h / 2, v + q / 2) - max(y - h / 2, v - q / 2);
    const real common = common_width > 0 && common_height > 0 ? common_width * common_height : (real)0;
    return shared - (around - (w * h + p * q - common)) / around;
  }
  const real diagonal = width * width + height * height;
  if (diagonal == 0) return shared;
  const real apart = ((x - u) * (x - u) + (y - v) * (y - v)) / diagonal;
  if (form == DISTANCE) return shared - pow(apart, (real)0.6);
  const real angle = atan(p / q) - atan(w / h);
  const real ratio = 4 * angle * angle / PI_SQUARED;
  return shared - (apart + ratio / (1 - shared + ratio + TINY) * ratio);
}

// As if no object taught anything; delta is zeros. A thread has a place of an anchor.
extern "C" __global__ void yolo_places(int n, const real* x, const real* objects, const real* anchors, real* delta,
                                       real thresh, int count, int numbers, int height, int width, int most, int rows,
                                       int columns, int form) {
  ELEMENT(k, n);
  const int area = height * width, a = k / area % count, i = k % width, j = k / width % height;
  const long long start = (long long)(k / area) * numbers * area + k % area;
  const real* own = x + start;
  const real* truth = objects + (long long)(k / area / count) * most * 5;
  const real u = (i + sigmoid(own[0])) / width, v = (j + sigmoid(own[area])) / height;
  const real w = exp(own[2 * area]) * anchors[2 * a] / columns, h = exp(own[3 * area]) * anchors[2 * a + 1] / rows;
  real best = 0;
  for (int t = 0; t < most && truth[5 * t + 1] != 0; ++t) {
    const real* one = truth + 5 * t;
    best = max(best, likeness(form, u, v, w, h, one[1], one[2], one[3], one[4]));
  }
  if (!(best > thresh)) delta[start + 4 * area] = sigmoid(own[4 * area]);
}

// The derivatives of the likeness of the box (x, y, w, h) to (u, v, p, q), by x, y, and twice those by w and h.
__device__ inline void pull(int form, real x, real y, real w, real h, real u, real v, real p, real q, real* sides) {
  const real top = y - h / 2, bottom = y + h / 2, left = x - w / 2, right = x + w / 2;
  const real other_top = v - q / 2, other_bottom = v + q / 2, other_left = u - p / 2, other_right = u + p / 2;
  const real common_height = min(bottom, other_bottom) - max(top, other_top);
  const real common_width = min(right, other_right) - max(left, other_left);
  const real common = common_width * common_height, whole = w * h + p * q - common;
  const real zero = 0, one = 1;
  // By top, bottom, left and right.
  const real own[4] = {-(right - left), right - left, -(bottom - top), bottom - top};
  const real shared[4] = {top > other_top ? -common_width : zero, bottom < other_bottom ? common_width : zero,
                          left > other_left ? -common_height : zero, right < other_right ? common_height : zero};
  const bool apart = common_width <= 0 || common_height <= 0;
  const real around_height = max(bottom, other_bottom) - min(top, other_top);
  const real around_width = max(right, other_right) - min(left, other_left);
  const real around = around_width * around_height;
  const real wide[4] = {top < other_top ? -around_width : zero, bottom > other_bottom ? around_width : zero,
                        left < other_left ? -around_height : zero, right > other_right ? around_height : zero};
  real edges[4];
  for (int k = 0; k < 4; ++k) {
    const real both = own[k] - shared[k];
    edges[k] = whole > 0 ? (whole * shared[k] - common * both) / (whole * whole) : zero;
    if (form == GENERALIZED) {
      const real more = around > 0 ? (around * both - whole * wide[k]) / (around * around) : zero;
      edges[k] = (apart ? zero : edges[k]) + more;
    }
  }
  sides[0] = edges[2] + edges[3];
  sides[1] = edges[0] + edges[1];
  sides[2] = edges[3] - edges[2];
  sides[3] = edges[1] - edges[0];
  if (form < DISTANCE) return;
  const real diagonal = around_width * around_width + around_height * around_height, square = diagonal * diagonal;
  const real distance = (u - x) * (u - x) + (v - y) * (v - y);
  const real beyond_right = right > other_right ? one : zero, beyond_left = left < other_left ? one : zero;
  const real beyond_bottom = bottom > other_bottom ? one : zero, beyond_top = top < other_top ? one : zero;
  real more[4] = {(2 * (u - x) * diagonal - 2 * around_width * (beyond_right - beyond_left) * distance) / square,
                  (2 * (v - y) * diagonal - 2 * around_height * (beyond_bottom - beyond_top) * distance) / square,
                  around_width * (beyond_right + beyond_left) * distance / square,
                  around_height * (beyond_bottom + beyond_top) * distance / square};
  if (form == COMPLETE) {
    const real angle = atan(p / q) - atan(w / h);
    const real ratio = 4 * angle * angle / PI_SQUARED;
    const real weight = 8 * ratio / (1 - common / whole + ratio + TINY) * angle / PI_SQUARED;
    more[2] += weight * h;
    more[3] -= weight * w;
  }
  for (int k = 0; k < 4; ++k) sides[k] = (apart ? zero : sides[k]) + more[k];
}

// What the objects of one image change, one after the other. A thread has an image.
extern "C" __global__ void yolo_objects(int n, const real* x, const real* objects, const real* every, const int* mask,
                                        real* delta, real* boxes, real object_scale, real class_scale, real coord_scale,
                                        real threshold, real normalizer, real limit, real smooth, bool accumulate,
                                        bool focal, int count, int numbers, int height, int width, int most, int anchors,
                                        int rows, int columns, int form) {
  ELEMENT(image, n);
  const int area = height * width;
  real lost = 0;
  int taught = 0;
  for (int t = 0; t < most; ++t) {
    const real* truth = objects + 5 * ((long long)image * most + t);
    if (truth[3] == 0) break;
    const int label = 5 + (int)truth[0];
    // The loss is NaN where an object is wrong.
    if (!(truth[1] >= 0 && truth[1] <= 1 && truth[2] >= 0 && truth[2] <= 1 && label >= 5 && label < numbers)) break;
    const int i = min((int)(truth[1] * width), width - 1), j = min((int)(truth[2] * height), height - 1);
    real best = 0;
    int nearest = 0;
    for (int k = 0; k < anchors; ++k) {
      const real shared =
          overlap(0, 0, every[2 * k] / columns, every[2 * k + 1] / rows, 0, 0, truth[3], truth[4]);
      if (shared > best) best = shared, nearest = k;
    }
    // First the best anchor, if this map has it, and then those that are like the object, but the one whose number is the
    // best one's place here.
    int place = -1;
    for (int turn = 0; turn < 2; ++turn) {
      for (int k = 0; k < count; ++k) {
        const real a = every[2 * mask[k]], b = every[2 * mask[k] + 1];
        const bool chosen =
            turn == 0 ? mask[k] == nearest
                      : mask[k] != place && threshold < 1 &&
                            overlap(0, 0, a / columns, b / rows, 0, 0, truth[3], truth[4]) > threshold;
        if (!chosen) continue;
        const long long first = ((long long)image * count + k) * numbers * area + j * width + i;
        const real* v = x + first;
        real* d = delta + first;
        const real u = sigmoid(v[0]), o = sigmoid(v[area]);
        const real box_x = (i + u) / width, box_y = (j + o) / height;
        const real box_w = exp(v[2 * area]) * a / columns, box_h = exp(v[3 * area]) * b / rows;
        if (form == 0) {
          const real scale = coord_scale * (2 - truth[3] * truth[4]);
          d[0] = -scale * (truth[1] * width - i - u);
          d[area] = -scale * (truth[2] * height - j - o);
          d[2 * area] = -scale * (log(truth[3] * columns / a) - v[2 * area]);
          d[3 * area] = -scale * (log(truth[4] * rows / b) - v[3 * area]);
        } else {
          real gradient[4];
          pull(form, box_x, box_y, box_w, box_h, truth[1], truth[2], truth[3], truth[4], gradient);
          gradient[2] *= exp(v[2 * area]);
          gradient[3] *= exp(v[3 * area]);
          for (int side = 0; side < 4; ++side) {
            const real value = gradient[side] * normalizer;
            const real cut = fabs(value) < (real)3e38 ? min(max(value, -limit), limit) : (real)0;
            d[side * area] = (accumulate ? d[side * area] : (real)0) - cut;
          }
          const int shown = form == GENERALIZED ? form : max(form, DISTANCE);
          lost += 1 - likeness(shown, box_x, box_y, box_w, box_h, truth[1], truth[2], truth[3], truth[4]);
        }
        ++taught;
        d[4 * area] = -object_scale * (1 - sigmoid(v[4 * area]));
        const real p = sigmoid(v[label * area]);
        if (d[label * area] != 0) {
          d[label * area] = -class_scale * (1 - smooth / 2 - p);
        } else {
          const real steep = -(1 - p) * (2 * p * log(max(p, (real)1e-15)) + p - 1) / 2;
          for (int c = 5; c < numbers; ++c) {
            const real right = c == label ? 1 : 0;
            d[c * area] = focal ? -class_scale * (right - sigmoid(v[c * area])) * steep
                                : -class_scale * (right * (1 - smooth) + smooth / 2 - sigmoid(v[c * area]));
          }
        }
        if (turn == 0) {
          place = k;
          break;
        }
      }
    }
  }
  boxes[2 * image] = lost;
  boxes[2 * image + 1] = taught;
}
