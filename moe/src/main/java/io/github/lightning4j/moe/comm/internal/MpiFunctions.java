package io.github.lightning4j.moe.comm.internal;

import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The functions of {@code mpi.cpp}. JavaCPP reads this class with nothing but this module on its
 * class path, so it must not name types of core.
 */
@Platform(include = "mpi.cpp", library = "jnimoempi", link = "dl", compiler = "cpp17")
@NoException
final class MpiFunctions {
  private MpiFunctions() {}

  @Name("l4j_mpi_open")
  static native int open();

  @Name("l4j_mpi_problem")
  static native @Cast("const char*") String problem();

  @Name("l4j_mpi_version")
  static native @Cast("const char*") String version();

  @Name("l4j_mpi_start")
  static native int start();

  @Name("l4j_mpi_finish")
  static native void finish();

  @Name("l4j_mpi_rank")
  static native int rank();

  @Name("l4j_mpi_size")
  static native int size();

  @Name("l4j_mpi_max_tag")
  static native int maxTag();

  @Name("l4j_mpi_send")
  static native @Cast("int64_t") long send(long address, int bytes, int to, int tag);

  @Name("l4j_mpi_receive")
  static native @Cast("int64_t") long receive(long address, int bytes, int from, int tag);

  @Name("l4j_mpi_test")
  static native int test(long request);
}
