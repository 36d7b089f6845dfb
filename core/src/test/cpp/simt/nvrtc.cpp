// NVRTC without CUDA: compiles a kernel's text with g++ against simt.h. The image it makes is a library for the host.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#define NVRTC_API extern "C" __attribute__((visibility("default")))

namespace fs = std::filesystem;

namespace {

enum Result : int { kSuccess = 0, kProgramCreationFailure = 2, kInvalidInput = 3, kCompilation = 6 };

struct Program {
  std::string name, text, log, image;
  std::map<std::string, std::string> headers;
};

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

/// One SIMT_KERNEL for each kernel, with the most threads that its launch bounds allow.
std::string registrations(const std::string& text) {
  static const std::regex kernel(R"(__global__\s+void\s+(?:__launch_bounds__\s*\(([^,)]*)[^)]*\)\s*)?(\w+)\s*\()");
  std::string lines = "\n";
  for (std::sregex_iterator i(text.begin(), text.end(), kernel), end; i != end; ++i) {
    std::string bounds = (*i)[1].matched ? (*i)[1].str() : "1024";
    lines += "SIMT_KERNEL(" + (*i)[2].str() + ", " + bounds + ")\n";
  }
  return lines;
}

/// Runs a program whose messages go to a file. Between fork and exec only what is safe there is called.
int run(const std::vector<std::string>& command, const fs::path& log) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int to = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (to < 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    dup2(to, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(to);
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

NVRTC_API const char* nvrtcGetErrorString(int result) {
  return result == kSuccess ? "NVRTC_SUCCESS" : result == kCompilation ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}

/// The minor version stands for what simt.h says, so that images made with another one are not reused.
NVRTC_API int nvrtcVersion(int* major, int* minor) {
  size_t hash = std::hash<std::string>()(SIMT_FLAGS);
  for (const char* file : {"simt.h", "warp.h", "runtime.h", "nvrtc.cpp"}) {
    hash = hash * 31 + std::hash<std::string>()(read(fs::path(SIMT_SOURCES) / file));
  }
  *major = 13;
  *minor = static_cast<int>(hash & 0x7fffffff);
  return kSuccess;
}

NVRTC_API int nvrtcCreateProgram(Program** out, const char* text, const char* name, int count,
                                 const char* const* headers, const char* const* names) {
  *out = new Program{name, text, "", "", {}};
  for (int i = 0; i < count; i++) (*out)->headers[names[i]] = headers[i];
  return kSuccess;
}

NVRTC_API int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  std::string folder = (fs::temp_directory_path() / "simt-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return kProgramCreationFailure;
  fs::path at = folder;
  write(at / program->name, program->text + registrations(program->text));
  for (auto& [name, text] : program->headers) write(at / name, text);
  std::vector<std::string> command = {"g++", "-x", "c++"};
  std::istringstream flags(SIMT_FLAGS);
  command.insert(command.end(), std::istream_iterator<std::string>(flags), {});
  for (int i = 0; i < count; i++) {
    std::string option = options[i];
    if (option.rfind("-D", 0) == 0) command.push_back(option);
    std::smatch sm;
    if (std::regex_match(option, sm, std::regex("--gpu-architecture=sm_(\\d+)[af]?"))) {
      command.push_back("-D__CUDA_ARCH__=" + sm[1].str() + "0");
    }
  }
  fs::path library = at / "image.so", log = at / "log";
  for (std::string word : {std::string("-include"), std::string(SIMT_BUILT "/toolkit/include/simt.h"), (at / program->name).string(),
                           std::string("-o"), library.string(), std::string("-L" SIMT_BUILT "/driver"),
                           std::string("-l:libcuda.so.1")}) {
    command.push_back(word);
  }
  int status = run(command, log);
  program->log = read(log);
  if (status == 0) program->image = read(library);
  fs::remove_all(at);
  return status == 0 ? kSuccess : kCompilation;
}

NVRTC_API int nvrtcGetCUBINSize(Program* program, size_t* bytes) {
  *bytes = program->image.size();
  return program->image.empty() ? kInvalidInput : kSuccess;
}

NVRTC_API int nvrtcGetCUBIN(Program* program, char* image) {
  memcpy(image, program->image.data(), program->image.size());
  return kSuccess;
}

NVRTC_API int nvrtcGetProgramLogSize(Program* program, size_t* bytes) {
  *bytes = program->log.size() + 1;
  return kSuccess;
}

NVRTC_API int nvrtcGetProgramLog(Program* program, char* log) {
  memcpy(log, program->log.c_str(), program->log.size() + 1);
  return kSuccess;
}

NVRTC_API int nvrtcDestroyProgram(Program** program) {
  delete *program;
  *program = nullptr;
  return kSuccess;
}
