package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.internal.CoreKernels;
import java.lang.System.Logger.Level;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * A stretch of memory outside the Java heap, or of a GPU, with one owner.
 *
 * <p>Allocations are aligned to 64 bytes and zeroed; from 16 MiB on they ask the system for large
 * pages, where it gives those on request and the native library is there. Closing twice, or reading
 * the address after closing, gives {@link IllegalStateException}. Memory that is never closed is
 * reported when the garbage collector finds it: one WARNING a leak, with the allocation site if the
 * system property {@code lightning4j.leaks} is {@code trace}. It is not freed then; a leak is a
 * fault to mend.
 */
public final class Memory implements AutoCloseable {
  /** The alignment of every allocation, in bytes. */
  public static final int ALIGNMENT = 64;

  /**
   * From so many bytes on large pages pay: a walk through the page table costs as much as a line.
   */
  private static final long LARGE = 16L << 20;

  private static final AtomicLong LIVE = new AtomicLong();
  private static final boolean TRACE = "trace".equals(System.getProperty("lightning4j.leaks"));

  private final long address;
  private final long bytes;
  private final Device device;
  private final Release release;
  private final boolean readOnly;
  private final Cleaner.@Nullable Cleanable leakReport;

  private Memory(
      long address, long bytes, Device device, Release release, boolean readOnly, boolean watched) {
    this.address = address;
    this.bytes = bytes;
    this.device = device;
    this.release = release;
    this.readOnly = readOnly;
    this.leakReport = watched ? Leaks.CLEANER.register(this, new Leaks(release, bytes)) : null;
  }

  /**
   * Allocates zeroed memory.
   *
   * @throws OutOfNativeMemoryException if the system refuses
   */
  public static Memory allocate(long bytes) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
    Pointer raw = Pointer.calloc(bytes + ALIGNMENT, 1);
    if (raw == null || raw.isNull()) {
      throw new OutOfNativeMemoryException(bytes, LIVE.get());
    }
    LIVE.addAndGet(bytes);
    if (bytes >= LARGE && CoreKernels.library().availability().isAvailable()) {
      CoreKernels.preferLargePages(raw.address(), bytes);
    }
    long aligned = (raw.address() + ALIGNMENT - 1) & -ALIGNMENT;
    return new Memory(
        aligned,
        bytes,
        Device.CPU,
        new Release(
            () -> {
              Pointer.free(raw);
              LIVE.addAndGet(-bytes);
            }),
        false,
        true);
  }

  /**
   * Wraps memory that somebody else owns.
   *
   * @param address the first byte
   * @param bytes how many there are
   * @param onClose run once on close, for instance to unmap
   */
  public static Memory wrap(long address, long bytes, Runnable onClose) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
    return new Memory(address, bytes, Device.CPU, new Release(onClose), false, false);
  }

  /** As {@link #wrap}, for memory that must not be written, such as a mapped file. */
  public static Memory wrapReadOnly(long address, long bytes, Runnable onClose) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
    return new Memory(address, bytes, Device.CPU, new Release(onClose), true, false);
  }

  /**
   * Takes over memory that somebody else has allocated, on any device: it is reported as a leak if
   * it is never closed.
   *
   * @param address the first byte, as the device sees it
   * @param bytes how many there are
   * @param device where they are
   * @param onClose run once on close, to free the memory
   */
  public static Memory adopt(long address, long bytes, Device device, Runnable onClose) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
    return new Memory(address, bytes, device, new Release(onClose), false, true);
  }

  /** Wraps a pointer's memory from its position on and keeps the pointer reachable. */
  static Memory borrow(Pointer pointer, long bytes) {
    checkArgument(!pointer.isNull(), "pointer: expected memory, got a null pointer");
    long known = (pointer.limit() - pointer.position()) * pointer.sizeof();
    checkArgument(
        known <= 0 || known >= bytes, "pointer: expected at least %s bytes, got %s", bytes, known);
    long first = pointer.address() + pointer.position() * pointer.sizeof();
    return wrap(first, bytes, () -> Reference.reachabilityFence(pointer));
  }

  /** Wraps a direct buffer's memory from its position on and keeps the buffer reachable. */
  static Memory borrow(ByteBuffer buffer, long bytes) {
    checkArgument(buffer.isDirect(), "buffer: expected a direct buffer, got %s", buffer);
    checkArgument(buffer.order() == ByteOrder.nativeOrder(), "buffer: expected native byte order");
    checkArgument(
        buffer.remaining() >= bytes,
        "buffer: expected at least %s bytes, got %s",
        bytes,
        buffer.remaining());
    BytePointer pointer = new BytePointer(buffer);
    long first = pointer.address() + pointer.position();
    Runnable onClose = () -> Reference.reachabilityFence(buffer);
    return buffer.isReadOnly() ? wrapReadOnly(first, bytes, onClose) : wrap(first, bytes, onClose);
  }

  /** Bytes allocated by {@link #allocate} in this process and not yet freed. */
  public static long liveBytes() {
    return LIVE.get();
  }

  /**
   * The address of the first byte, which this process can read.
   *
   * @throws IllegalStateException if closed
   * @throws IllegalArgumentException if the memory is a GPU's
   */
  public long address() {
    checkArgument(
        device.kind() == Device.Kind.CPU,
        "expected memory on %s, got %s bytes on %s; copy them with CudaStream.copy",
        Device.CPU,
        bytes,
        device);
    return anyAddress();
  }

  /**
   * The address of the first byte, which kernels of the GPU that has it can read.
   *
   * @throws IllegalStateException if closed
   * @throws IllegalArgumentException if the memory is not a GPU's
   */
  public long deviceAddress() {
    checkArgument(
        device.kind() == Device.Kind.CUDA,
        "expected memory of a GPU, got %s bytes on %s; copy them with CudaStream.copy",
        bytes,
        device);
    return anyAddress();
  }

  long anyAddress() {
    checkState(!release.done.get(), "memory of %s bytes is closed", bytes);
    return address;
  }

  /** Where the memory is. */
  public Device device() {
    return device;
  }

  /** The size in bytes. */
  public long bytes() {
    return bytes;
  }

  /**
   * Whether the memory must not be written, so that operators refuse to: that of a mapped file,
   * where writing would end the process, or of a read-only buffer.
   */
  public boolean isReadOnly() {
    return readOnly;
  }

  /** Whether {@link #close} was called. */
  public boolean isClosed() {
    return release.done.get();
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(release.done.compareAndSet(false, true), "memory is closed already");
    release.action.run();
    if (leakReport != null) {
      leakReport.clean();
    }
  }

  /** A JavaCPP view of {@code bytes} bytes at an address; it owns nothing. */
  public static BytePointer pointer(long address, long bytes) {
    return new Address(address).bytes(bytes);
  }

  private static final class Release {
    private final Runnable action;
    private final AtomicBoolean done = new AtomicBoolean();

    Release(Runnable action) {
      this.action = action;
    }
  }

  private static final class Address extends Pointer {
    Address(long address) {
      super((Pointer) null);
      this.address = address;
    }

    BytePointer bytes(long count) {
      return new BytePointer(this).capacity(count).limit(count);
    }
  }

  /** Tells of memory that was collected without having been closed. */
  private static final class Leaks implements Runnable {
    static final Cleaner CLEANER = Cleaner.create();

    private final Release release;
    private final long bytes;
    private final @Nullable Throwable site;

    Leaks(Release release, long bytes) {
      this.release = release;
      this.bytes = bytes;
      this.site = TRACE ? new Throwable("allocated here") : null;
    }

    @Override
    public void run() {
      if (!release.done.get()) {
        String hint = site == null ? " (-Dlightning4j.leaks=trace tells where from)" : "";
        System.getLogger(Memory.class.getName())
            .log(Level.WARNING, "leak: " + bytes + " bytes were never closed" + hint, site);
      }
    }
  }
}
