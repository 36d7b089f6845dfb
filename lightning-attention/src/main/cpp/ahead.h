// Rows of the next chunk, fetched while the products of this one run.
//
// The rows of a head lie a token of all heads apart (8 KiB for 16 heads of 128), so no two are in one page and the
// prefetcher of the CPU does not see them coming: without help each costs the latency of memory and a walk through
// the page table.

// Rows fetched a few lines at a time; a default one has none.
class Ahead {
 public:
  // Tokens t to t + m of a head, n elements each.
  void add(const Rows& x, int64_t t, int64_t m, int64_t n) {
    if (m > 0 && n > 0) parts_[count_++] = Part{x.row(t), x.stride * x.bytes(), m, n * x.bytes()};
  }

  // The next kLines lines of the cache; called between tiles.
  void fetch() {
    for (int i = 0; i < kLines && part_ < count_; ++i) {
      Part& p = parts_[part_];
      __builtin_prefetch(p.at + at_);
      at_ += 64;
      if (at_ < p.bytes) continue;
      at_ = 0;
      p.at += p.stride;
      if (--p.rows == 0) ++part_;
    }
  }

 private:
  // So many that a chunk's rows are under way before its last tile, so few that a tile hides them.
  static constexpr int kLines = 8;
  struct Part {
    const char* at;
    int64_t stride, rows, bytes;
  };
  Part parts_[8];
  int count_ = 0, part_ = 0;
  int64_t at_ = 0;
};
