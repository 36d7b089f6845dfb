// Modules and launches: cuModule*, cuFunc*, cuLaunchKernel. A module's image is a library that nvrtc.cpp made.
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "device.h"
#include "scheduler.h"

namespace simt {
namespace {

constexpr size_t kSharedByDefault = 48 << 10;
constexpr size_t kSharedAtMost = 227 << 10;
constexpr int kDynamicSharedAttribute = 8;
constexpr int kCudaMachine = 190;

struct Function {
  std::string name;
  const Entry* entry;
  void (*touch_shared)();
  size_t dynamic_limit;
};

struct Module {
  void* library;
  /// Stays open: its number is the library's name, by which dlopen tells libraries apart.
  int file;
  std::map<std::string, Function> functions;
};

using Contents = std::map<uintptr_t, std::vector<unsigned char>>;

/// The memory of the device that a kernel may write, which is what its arguments point to.
Contents contents(Device& device, const Entry& entry, void** arguments) {
  Contents all;
  for (unsigned i = 0; i < entry.parameters; i++) {
    auto* found = entry.writable[i] ? device.find(*static_cast<void**>(arguments[i])) : nullptr;
    if (found == nullptr || !found->second.on_device) continue;
    const auto* first = reinterpret_cast<const unsigned char*>(found->first);
    std::vector<unsigned char>& bytes = all[found->first];
    if (bytes.empty()) bytes.assign(first, first + found->second.bytes);
  }
  return all;
}

void restore(const Contents& all) {
  for (auto& [start, bytes] : all) memcpy(reinterpret_cast<void*>(start), bytes.data(), bytes.size());
}

/// Where memory differs from what it was, or an empty text.
std::string difference(const Contents& all) {
  for (auto& [start, bytes] : all) {
    const auto* now = reinterpret_cast<const unsigned char*>(start);
    if (memcmp(now, bytes.data(), bytes.size()) == 0) continue;
    for (size_t i = 0; i < bytes.size(); i++) {
      if (now[i] != bytes[i]) {
        return "byte " + std::to_string(i) + " of an allocation of " + std::to_string(bytes.size()) +
               " depends on the order of threads";
      }
    }
  }
  return "";
}

std::string stray_pointer(Device& device, const Entry& entry, void** arguments) {
  for (unsigned i = 0; i < entry.parameters; i++) {
    void* address = *static_cast<void**>(arguments[i]);
    if (entry.pointers[i] && address != nullptr && device.find(address) == nullptr) {
      return "argument " + std::to_string(i) + " points to no memory of the device";
    }
  }
  return "";
}

/// Runs a launch in both orders of threads, which must agree.
void run_checked(Device& device, const Function& function, Launch launch,
                 std::vector<std::vector<unsigned char>> values) {
  std::vector<void*> arguments;
  for (auto& value : values) arguments.push_back(value.data());
  launch.arguments = arguments.data();
  std::string failure = stray_pointer(device, *launch.entry, launch.arguments);
  if (!failure.empty()) return device.lose(kIllegalAddress, function.name + ": " + failure);
  Contents before = contents(device, *launch.entry, launch.arguments);
  launch.descending = false;
  failure = run(launch);
  if (failure.empty()) {
    Contents after = contents(device, *launch.entry, launch.arguments);
    restore(before);
    launch.descending = true;
    failure = run(launch);
    if (failure.empty()) failure = difference(after);
  }
  if (failure.empty()) failure = device.damage();
  if (!failure.empty()) device.lose(kLaunchFailed, function.name + ": " + failure);
}

}  // namespace
}  // namespace simt

SIMT_API int cuModuleLoadData(simt::Module** out, const void* image) {
  SIMT_ENTER();
  Elf64_Ehdr header;
  memcpy(&header, image, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return simt::kInvalidImage;
  if (header.e_machine == simt::kCudaMachine) return simt::kNoBinary;
  size_t bytes = header.e_shoff + size_t{header.e_shentsize} * header.e_shnum;
  int file = memfd_create("kernels", 0);
  bool written = file >= 0 && write(file, image, bytes) == static_cast<ssize_t>(bytes);
  std::string path = "/proc/self/fd/" + std::to_string(file);
  void* library = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) {
    if (file >= 0) close(file);
    fprintf(stderr, "simt: %s\n", dlerror());
    return simt::kInvalidImage;
  }
  *out = new simt::Module{library, file, {}};
  return simt::kSuccess;
}

SIMT_API int cuModuleUnload(simt::Module* module) {
  SIMT_ENTER();
  device.drain_all();
  dlclose(module->library);
  close(module->file);
  delete module;
  return simt::kSuccess;
}

SIMT_API int cuModuleGetFunction(simt::Function** out, simt::Module* module, const char* name) {
  SIMT_ENTER();
  void* entry = dlsym(module->library, (std::string("simt_entry_") + name).c_str());
  void* touch = dlsym(module->library, "simt_touch_shared");
  if (entry == nullptr || touch == nullptr) return simt::kNotFound;
  simt::Function function{name, static_cast<const simt::Entry*>(entry), reinterpret_cast<void (*)()>(touch),
                          simt::kSharedByDefault};
  *out = &module->functions.emplace(name, function).first->second;
  return simt::kSuccess;
}

SIMT_API int cuFuncGetParamInfo(simt::Function* function, size_t index, size_t* offset, size_t* bytes) {
  SIMT_ENTER();
  if (index >= function->entry->parameters) return simt::kInvalidValue;
  *offset = 0;
  *bytes = function->entry->sizes[index];
  return simt::kSuccess;
}

SIMT_API int cuFuncSetAttribute(simt::Function* function, int attribute, int value) {
  SIMT_ENTER();
  if (attribute != simt::kDynamicSharedAttribute) return simt::kInvalidValue;
  size_t fixed = simt::static_shared_bytes(reinterpret_cast<const void*>(function->entry->call));
  if (value < 0 || value + fixed > simt::kSharedAtMost) return simt::kInvalidValue;
  function->dynamic_limit = std::max<size_t>(value, simt::kSharedByDefault);
  return simt::kSuccess;
}

SIMT_API int cuLaunchKernel(simt::Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                            unsigned bz, unsigned shared, simt::Stream* stream, void** arguments, void**) {
  SIMT_ENTER();
  const simt::Entry& entry = *function->entry;
  size_t threads = size_t{bx} * by * bz;
  if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || threads == 0) return simt::kInvalidValue;
  if (threads > std::min(entry.max_threads, 1024u) || shared > function->dynamic_limit) return simt::kInvalidValue;
  std::vector<std::vector<unsigned char>> values;
  for (unsigned i = 0; i < entry.parameters; i++) {
    const auto* value = static_cast<const unsigned char*>(arguments[i]);
    values.emplace_back(value, value + entry.sizes[i]);
  }
  simt::Launch launch{&entry, nullptr, {gx, gy, gz}, {bx, by, bz}, shared, function->touch_shared, false};
  device.add(stream, [&device, function, launch, values] { run_checked(device, *function, launch, values); });
  return simt::kSuccess;
}
