package io.github.lightning4j.minimax.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The Hugging Face tokenizer, through DJL's native methods.
 *
 * <p>Not through DJL's {@code HuggingFaceTokenizer}: that class asks the cloud metadata service for
 * telemetry at first use, truncates at 512 tokens by default, and builds token strings and offsets
 * for every encoding, of which only the ids are wanted here. The library itself is loaded in DJL's
 * offline mode, without which it would download a CUDA build on machines that have a GPU.
 */
final class NativeTokenizer implements AutoCloseable {
  private static final String OFFLINE = "ai.djl.offline";

  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private long handle;

  /**
   * Builds a tokenizer.
   *
   * @param json the text of a {@code tokenizer.json}
   * @throws IllegalArgumentException if the text is not a tokenizer
   */
  NativeTokenizer(String json) {
    TokenizersLibrary library = library();
    try {
      handle = library.createTokenizerFromString(json);
    } catch (RuntimeException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
    library.disableTruncation(handle);
    library.disablePadding(handle);
  }

  int[] encode(String text) {
    lock.readLock().lock();
    try {
      if (handle == 0) {
        throw new IllegalStateException("the tokenizer is closed");
      }
      long encoding = TokenizersLibrary.LIB.encode(handle, text, false);
      try {
        return narrow(TokenizersLibrary.LIB.getTokenIds(encoding));
      } finally {
        TokenizersLibrary.LIB.deleteEncoding(encoding);
      }
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (handle != 0) {
        TokenizersLibrary.LIB.deleteTokenizer(handle);
        handle = 0;
      }
    } finally {
      lock.writeLock().unlock();
    }
  }

  private static int[] narrow(long[] ids) {
    int[] narrowed = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      narrowed[i] = (int) ids[i];
    }
    return narrowed;
  }

  /**
   * Loads the library once. DJL finds its files by the context class loader and reads its offline
   * switch from a system property, both only while its class initialises: they are set for that
   * moment and put back.
   */
  private static synchronized TokenizersLibrary library() {
    Thread thread = Thread.currentThread();
    ClassLoader loader = thread.getContextClassLoader();
    String offline = System.getProperty(OFFLINE);
    thread.setContextClassLoader(NativeTokenizer.class.getClassLoader());
    System.setProperty(OFFLINE, "true");
    try {
      LibUtils.checkStatus();
      return TokenizersLibrary.LIB;
    } catch (RuntimeException | LinkageError e) {
      throw new IllegalStateException(
          "the native tokenizer cannot be loaded on "
              + System.getProperty("os.name")
              + " "
              + System.getProperty("os.arch")
              + ": "
              + e
              + " (it needs a writable cache folder: set DJL_CACHE_DIR to one)",
          e);
    } finally {
      thread.setContextClassLoader(loader);
      if (offline == null) {
        System.clearProperty(OFFLINE);
      } else {
        System.setProperty(OFFLINE, offline);
      }
    }
  }
}
