package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.cuda.kernel.KernelException;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.global.nvrtc;
import org.bytedeco.cuda.nvrtc._nvrtcProgram;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/** NVIDIA's compiler as a library. It needs no GPU. */
public final class Nvrtc implements KernelCompiler {
  /** Stateless. */
  public Nvrtc() {}

  /** Whether the library loads. */
  public static Availability availability() {
    return Holder.AVAILABILITY;
  }

  @Override
  public String version() {
    int[] major = {0};
    int[] minor = {0};
    nvrtc.nvrtcVersion(major, minor);
    return major[0] + "." + minor[0];
  }

  @Override
  public byte[] compile(KernelSource source, String architecture) {
    _nvrtcProgram program = new _nvrtcProgram();
    String[] names = source.headers().keySet().toArray(String[]::new);
    String[] texts = source.headers().values().toArray(String[]::new);
    try (BytePointer text = new BytePointer(source.text(), StandardCharsets.UTF_8);
        BytePointer name = new BytePointer(source.name(), StandardCharsets.UTF_8);
        PointerPointer<BytePointer> headers = strings(texts);
        PointerPointer<BytePointer> headerNames = strings(names)) {
      int status =
          nvrtc.nvrtcCreateProgram(program, text, name, names.length, headers, headerNames);
      check(status, source, architecture, "");
    }
    try {
      return compiled(program, source, architecture);
    } finally {
      nvrtc.nvrtcDestroyProgram(program);
    }
  }

  private static byte[] compiled(_nvrtcProgram program, KernelSource source, String architecture) {
    List<String> all = new ArrayList<>();
    all.add("--gpu-architecture=" + architecture);
    all.add("--std=c++17");
    source.constants().forEach((name, value) -> all.add("-D" + name + "=" + value));
    try (PointerPointer<BytePointer> words = strings(all.toArray(String[]::new));
        SizeTPointer size = new SizeTPointer(1)) {
      int status = nvrtc.nvrtcCompileProgram(program, all.size(), words);
      check(status, source, architecture, status == nvrtc.NVRTC_SUCCESS ? "" : log(program));
      check(nvrtc.nvrtcGetCUBINSize(program, size), source, architecture, "");
      byte[] image = new byte[Math.toIntExact(size.get())];
      try (BytePointer to = new BytePointer(image.length)) {
        check(nvrtc.nvrtcGetCUBIN(program, to), source, architecture, "");
        to.get(image);
      }
      return image;
    }
  }

  private static String log(_nvrtcProgram program) {
    try (SizeTPointer size = new SizeTPointer(1)) {
      nvrtc.nvrtcGetProgramLogSize(program, size);
      try (BytePointer log = new BytePointer(Math.max(1, size.get()))) {
        nvrtc.nvrtcGetProgramLog(program, log);
        return log.getString().strip();
      }
    }
  }

  /** Texts in memory of the host; they live as long as the array that points to them. */
  private static PointerPointer<BytePointer> strings(String[] texts) {
    return new PointerPointer<>(texts, StandardCharsets.UTF_8);
  }

  private static void check(int status, KernelSource source, String architecture, String log) {
    if (status != nvrtc.NVRTC_SUCCESS) {
      throw new KernelException(
          source
              + " does not compile for "
              + architecture
              + ": "
              + nvrtc.nvrtcGetErrorString(status).getString()
              + (log.isEmpty() ? "" : "\n" + log));
    }
  }

  private static final class Holder {
    static final Availability AVAILABILITY = probe();

    private static Availability probe() {
      try {
        return Availability.available("NVRTC " + new Nvrtc().version());
      } catch (LinkageError e) {
        Throwable root = e;
        while (root.getCause() != null) {
          root = root.getCause();
        }
        return Availability.unavailable(
            "NVRTC did not load (" + root.getMessage() + ")",
            "install CUDA 13, or add org.bytedeco:cuda-platform-redist:13.1-9.19-1.5.13 to the"
                + " class path");
      }
    }
  }
}
