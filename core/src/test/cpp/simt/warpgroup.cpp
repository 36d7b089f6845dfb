// Products of warp groups (wgmma), after the chapter "Asynchronous Warpgroup Level Matrix Instructions" of the PTX manual.
//
// A product is made when it is waited for, never before: until then the registers of its sums hold NaN. Each warp makes
// its own 16 of the 64 rows, and the four of a group must ask for the same in the same order. Stricter than a GPU:
//   - operands must have been written before the last barrier, and all threads must have had a fence.proxy.async
//     between what they wrote and that barrier;
//   - what a product reads must not change, nor be the goal of a copy, before it is waited for;
//   - sums and registers of A must be left alone until then, and need a wgmma.fence behind the last wait.
#pragma GCC optimize("O3")
#include <cstring>

#include "worker.h"

namespace simt {
namespace {

constexpr int kGranule = 16;
constexpr int kGroupWarps = 4;
constexpr int kWarpRows = 16;
constexpr int kDepth = 16;
constexpr size_t kGranulesOfA = kWarpRows * 2;

/// A matrix descriptor: bits 0-13 the start / 16, 32-45 the bytes between groups of eight rows / 16, 49-51 the base
/// offset, 62-63 the swizzle. Bits 16-29, the leading dimension, count in no swizzled K-major matrix.
struct Tile {
  uint32_t start, stride;

  explicit Tile(uint64_t bits) : start((bits & 0x3fff) << 4), stride((bits >> 32 & 0x3fff) << 4) {
    constexpr uint64_t kReserved = uint64_t{0x3} << 14 | uint64_t{0x3} << 30 | uint64_t{0x7} << 46 | uint64_t{0x3ff} << 52;
    if (bits & kReserved) simt_fail("a matrix descriptor %016llx with bits that mean nothing", (unsigned long long)bits);
    if (bits >> 62 != 1) simt_fail("a matrix descriptor without the swizzle of 128 bytes, which nobody emulates yet");
    if ((bits >> 49 & 7) != 0 || start & 0x380) {
      simt_fail("a matrix that starts at %u: not in the first row of a swizzle, multiples of 1024", start);
    }
    if (stride % 1024 != 0) simt_fail("eight rows %u bytes apart: not a multiple of the swizzle's 1024", stride);
  }

  /// Where 16 bytes of a row of 32 lie: rows 128 bytes apart, bits 4-6 of the address exclusive-or bits 7-9.
  uint32_t at(int row, int half) const {
    uint32_t address = start + row / 8 * stride + row % 8 * 128 + half * kGranule;
    return address ^ (address >> 3 & 0x70);
  }
};

size_t own_index() { return (simt_self - worker->threads.data()) / kWarp; }

GroupWarp& own_warp() { return worker->groups.warps[own_index()]; }

/// Holds what a warp does against what the others of its group did.
void log(Deed deed) {
  WarpGroups& all = worker->groups;
  size_t group = own_index() / kGroupWarps;
  if ((group + 1) * kGroupWarps > all.warps.size()) simt_fail("wgmma of a group with fewer than four warps");
  std::vector<Deed>& deeds = all.deeds[group];
  size_t& done = own_warp().deeds;
  if (done == deeds.size()) deeds.push_back(deed);
  if (!(deeds[done++] == deed)) simt_fail("wgmma: warps of a group do not do the same");
}

void check_readable(uint32_t at) {
  const WarpGroups& all = worker->groups;
  const Block& block = worker->block;
  if (at + kGranule > block.dynamic_bytes) {
    simt_fail("a matrix that reaches to byte %u of %u of dynamic shared memory", at + kGranule, block.dynamic_bytes);
  }
  if (all.seen.empty() || all.granules[at / kGranule].unfenced) {
    simt_fail("wgmma reads what was written without fence.proxy.async behind it");
  }
  if (memcmp(&all.seen[at], block.dynamic_shared + at, kGranule) != 0) {
    simt_fail("wgmma reads what was written behind the last barrier");
  }
}

/// Takes the sums from the registers, unless an earlier product has them.
std::shared_ptr<Sums> take_sums(GroupWarp& warp, void** requests) {
  const auto& first = *static_cast<WarpGroupProduct*>(requests[0]);
  for (Pending& earlier : warp.pending) {
    if (earlier.sums->home[0] != first.d) continue;
    if (earlier.sums->columns != first.columns) simt_fail("wgmma of another shape on sums that are under way");
    return earlier.sums;
  }
  if (!warp.fenced) simt_fail("wgmma without wgmma.fence before it, since the start or the last wait");
  auto sums = std::make_shared<Sums>();
  sums->columns = first.columns;
  sums->values.resize(kWarpRows * first.columns);
  sums->uses = 0;
  for (int lane = 0; lane < 32; lane++) {
    float* d = static_cast<WarpGroupProduct*>(requests[lane])->d;
    sums->home[lane] = d;
    for (int i = 0; i < first.columns / 2; i++) {
      int row = lane / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      sums->values[row * first.columns + column] = d[i];
    }
    memset(d, kPoison, first.columns / 2 * sizeof(float));
  }
  return sums;
}

/// Completes simt_wgmma for a warp.
void ask(void** requests, unsigned) {
  const auto& first = *static_cast<WarpGroupProduct*>(requests[0]);
  for (int lane = 1; lane < 32; lane++) {
    const auto& other = *static_cast<WarpGroupProduct*>(requests[lane]);
    if (other.a != first.a || other.b != first.b) simt_fail("wgmma: lanes with different descriptors");
  }
  log({first.registers ? 'r' : 's', first.columns, first.a, first.b});
  GroupWarp& warp = own_warp();
  Pending product{};
  product.sums = take_sums(warp, requests);
  product.sums->uses++;
  product.group = warp.groups;
  product.from_registers = first.registers != nullptr;
  if (product.from_registers) {
    if (!warp.fenced) simt_fail("wgmma with A in registers without wgmma.fence behind the last wait");
    for (int lane = 0; lane < 32; lane++) {
      product.registers[lane] = static_cast<WarpGroupProduct*>(requests[lane])->registers;
      memcpy(product.fragments[lane].data(), product.registers[lane], sizeof product.fragments[lane]);
    }
  } else {
    Tile a(first.a);
    int row = own_index() % kGroupWarps * kWarpRows;
    for (int i = 0; i < kWarpRows * 2; i++) product.granules.push_back(a.at(row + i / 2, i % 2));
  }
  Tile b(first.b);
  for (int i = 0; i < first.columns * 2; i++) product.granules.push_back(b.at(i / 2, i % 2));
  for (uint32_t at : product.granules) {
    check_readable(at);
    const unsigned char* from = worker->block.dynamic_shared + at;
    product.bytes.insert(product.bytes.end(), from, from + kGranule);
    worker->groups.granules[at / kGranule].readers++;
  }
  warp.pending.push_back(std::move(product));
}

float widen(const unsigned char* bits) {
  uint32_t wide = uint32_t(bits[0]) << 16 | uint32_t(bits[1]) << 24;
  float x;
  memcpy(&x, &wide, sizeof x);
  return x;
}

/// d += a b, element by element in the order of K.
void multiply(const Pending& product) {
  Sums& sums = *product.sums;
  float a[kWarpRows][kDepth];
  const unsigned char* bytes = product.bytes.data();
  if (product.from_registers) {
    for (int i = 0; i < kWarpRows * kDepth; i++) {
      int lane = i / 8, pair = i % 8 / 2, element = i % 2;
      const auto* word = reinterpret_cast<const unsigned char*>(&product.fragments[lane][pair]);
      a[lane / 4 + pair % 2 * 8][lane % 4 * 2 + pair / 2 * 8 + element] = widen(word + element * 2);
    }
  } else {
    for (int i = 0; i < kWarpRows * kDepth; i++) a[i / kDepth][i % kDepth] = widen(bytes + i * 2);
    bytes += kGranulesOfA * kGranule;
  }
  std::vector<float> b(kDepth * sums.columns);
  for (int i = 0; i < kDepth * sums.columns; i++) b[i % kDepth * sums.columns + i / kDepth] = widen(bytes + i * 2);
  for (int row = 0; row < kWarpRows; row++) {
    float* out = &sums.values[row * sums.columns];
    for (int k = 0; k < kDepth; k++) {
      const float factor = a[row][k], *column = &b[k * sums.columns];
      for (int i = 0; i < sums.columns; i++) out[i] += factor * column[i];
    }
  }
}

void finish(const Pending& product) {
  for (size_t i = 0; i < product.granules.size(); i++) {
    uint32_t at = product.granules[i];
    worker->groups.granules[at / kGranule].readers--;
    if (memcmp(&product.bytes[i * kGranule], worker->block.dynamic_shared + at, kGranule) != 0) {
      simt_fail("shared memory that wgmma reads was written before wgmma was waited for");
    }
  }
  for (int lane = 0; product.from_registers && lane < 32; lane++) {
    if (memcmp(product.registers[lane], product.fragments[lane].data(), sizeof product.fragments[lane]) != 0) {
      simt_fail("registers of A were written before wgmma was waited for");
    }
  }
  Sums& sums = *product.sums;
  multiply(product);
  sums.uses--;
  for (int lane = 0; lane < 32; lane++) {
    for (int i = 0; i < sums.columns / 2; i++) {
      uint32_t bits;
      memcpy(&bits, sums.home[lane] + i, sizeof bits);
      if (bits != 0xffffffffu) simt_fail("sums of wgmma were written before it was waited for");
      int row = lane / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      if (sums.uses == 0) sums.home[lane][i] = sums.values[row * sums.columns + column];
    }
  }
}

}  // namespace

void WarpGroups::start(size_t warps_of_block) {
  warps.assign(warps_of_block, {});
  deeds.assign((warps_of_block + kGroupWarps - 1) / kGroupWarps, {});
  seen.clear();
  fences = 0;
}

void WarpGroups::at_barrier(size_t threads) {
  if (seen.empty()) return;
  bool all = fences == threads;
  fences = 0;
  for (Thread& t : worker->threads) t.fenced = false;
  const unsigned char* now = worker->block.dynamic_shared;
  for (size_t i = 0; i < granules.size(); i++) {
    bool changed = memcmp(&seen[i * kGranule], now + i * kGranule, kGranule) != 0;
    if (changed || all) granules[i].unfenced = !all;
    if (changed) memcpy(&seen[i * kGranule], now + i * kGranule, kGranule);
  }
}

const char* WarpGroups::at_end() const {
  for (const GroupWarp& warp : warps) {
    if (!warp.pending.empty()) return "a warp returns before its wgmma was waited for";
    if (warp.deeds != deeds[(&warp - warps.data()) / kGroupWarps].size()) {
      return "wgmma: warps of a group do not do the same";
    }
  }
  return nullptr;
}

}  // namespace simt

using simt::worker;

extern "C" {

void simt_wgmma(simt::WarpGroupProduct* product) {
  simt_collective("waits at wgmma", simt::ask, 0xffffffffu, product);
}

void simt_wgmma_fence() {
  simt_collective(
      "waits at wgmma.fence",
      [](void**, unsigned) {
        simt::log({'f', 0, 0, 0});
        simt::own_warp().fenced = true;
      },
      0xffffffffu, nullptr);
}

void simt_wgmma_commit() {
  simt_collective(
      "waits at wgmma.commit_group",
      [](void**, unsigned) {
        simt::log({'c', 0, 0, 0});
        simt::own_warp().groups++;
      },
      0xffffffffu, nullptr);
}

void simt_wgmma_wait(unsigned left) {
  simt_collective(
      "waits at wgmma.wait_group",
      [](void** requests, unsigned) {
        unsigned left = *static_cast<unsigned*>(requests[0]);
        simt::log({'w', int(left), 0, 0});
        simt::GroupWarp& warp = simt::own_warp();
        while (!warp.pending.empty() && warp.pending.front().group + left < warp.groups) {
          simt::finish(warp.pending.front());
          warp.pending.pop_front();
        }
        warp.fenced = false;
      },
      0xffffffffu, &left);
}

void simt_fence_async() {
  simt::WarpGroups& all = worker->groups;
  if (all.seen.empty()) {
    // Nothing written before the first fence has been seen by anybody.
    size_t granules = (worker->block.dynamic_bytes + simt::kGranule - 1) / simt::kGranule;
    all.seen.assign(granules * simt::kGranule, simt::kPoison);
    all.granules.assign(granules, {});
  }
  all.fences += !simt_self->fenced;
  simt_self->fenced = true;
}

void simt_unfence() {
  worker->groups.fences--;
  simt_self->fenced = false;
}

void simt_check_unread(const void* shared) {
  const simt::WarpGroups& all = worker->groups;
  size_t at = static_cast<const unsigned char*>(shared) - worker->block.dynamic_shared;
  if (!all.seen.empty() && at < worker->block.dynamic_bytes && all.granules[at / simt::kGranule].readers != 0) {
    simt_fail("a copy to what wgmma reads, before wgmma was waited for");
  }
}
}
