// Devices, contexts, errors: cuInit, cuDevice*, cuCtx*, cuGetError*.
#include <cstdio>
#include <cstring>

#include "device.h"

namespace simt {
Device devices[kDevices];
thread_local Device* current;

void Device::lose(Status status, const std::string& why) {
  fprintf(stderr, "simt: %s\n", why.c_str());
  lost = status;
}
}  // namespace simt

SIMT_API int cuInit(unsigned) { return simt::kSuccess; }

SIMT_API int cuDriverGetVersion(int* version) {
  *version = 13010;
  return simt::kSuccess;
}

SIMT_API int cuDeviceGetCount(int* count) {
  *count = simt::kDevices;
  return simt::kSuccess;
}

SIMT_API int cuDeviceGet(int* out, int ordinal) {
  *out = ordinal;
  return ordinal >= 0 && ordinal < simt::kDevices ? simt::kSuccess : simt::kInvalidDevice;
}

SIMT_API int cuDeviceGetName(char* name, int room, int) {
  snprintf(name, room, "SIMT emulation");
  return simt::kSuccess;
}

SIMT_API int cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = simt::Device::kTotal;
  return simt::kSuccess;
}

SIMT_API int cuDeviceGetAttribute(int* value, int attribute, int) {
  switch (attribute) {
    case 16:  // multiprocessors
      *value = 4;
      return simt::kSuccess;
    case 75:  // compute capability
      *value = 9;
      return simt::kSuccess;
    case 76:
      *value = 0;
      return simt::kSuccess;
    case 97:  // shared memory a block can ask for
      *value = 227 << 10;
      return simt::kSuccess;
    default:
      fprintf(stderr, "simt: device attribute %d has no value here\n", attribute);
      return simt::kInvalidValue;
  }
}

SIMT_API int cuDevicePrimaryCtxRetain(void** context, int ordinal) {
  *context = &simt::devices[ordinal];
  return simt::devices[ordinal].lost;
}

SIMT_API int cuCtxSetCurrent(void* context) {
  simt::current = static_cast<simt::Device*>(context);
  return simt::current ? simt::current->lost : simt::kSuccess;
}

SIMT_API int cuCtxGetDevice(int* ordinal) {
  SIMT_ENTER();
  *ordinal = static_cast<int>(&device - simt::devices);
  return simt::kSuccess;
}

SIMT_API int cuGetErrorName(int status, const char** name) {
  switch (status) {
    case simt::kSuccess: *name = "CUDA_SUCCESS"; break;
    case simt::kInvalidValue: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case simt::kOutOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case simt::kInvalidDevice: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case simt::kInvalidImage: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case simt::kInvalidContext: *name = "CUDA_ERROR_INVALID_CONTEXT"; break;
    case simt::kNoBinary: *name = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
    case simt::kInvalidHandle: *name = "CUDA_ERROR_INVALID_HANDLE"; break;
    case simt::kNotFound: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case simt::kNotReady: *name = "CUDA_ERROR_NOT_READY"; break;
    case simt::kIllegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case simt::kLaunchFailed: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case simt::kNotSupported: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    case simt::kCaptureUnsupported: *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case simt::kCaptureInvalidated: *name = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    default: *name = nullptr; return simt::kInvalidValue;
  }
  return simt::kSuccess;
}

SIMT_API int cuGetErrorString(int status, const char** text) { return cuGetErrorName(status, text); }
