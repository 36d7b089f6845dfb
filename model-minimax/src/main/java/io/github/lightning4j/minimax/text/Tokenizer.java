package io.github.lightning4j.minimax.text;

import io.github.lightning4j.core.CheckpointException;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * Text to token ids and back, by a byte-level BPE vocabulary.
 *
 * <p>Every token stands for a run of bytes. Decoding joins the bytes and reads them as UTF-8; bytes
 * that are not UTF-8 become U+FFFD, as many as the Hugging Face tokenizer gives (the JDK gives
 * fewer for spelled surrogates). One character may be spread over several tokens: use {@link
 * TextStream} when ids arrive one by one.
 *
 * <p>All methods may be called from several threads. After {@link #close()} {@link #encode} throws
 * {@link IllegalStateException}; decoding needs no native memory and goes on working.
 */
public interface Tokenizer extends AutoCloseable {

  /**
   * Opens the tokenizer of a checkpoint folder.
   *
   * <p>Reads {@code tokenizer.json}; without it {@code vocab.json} and {@code merges.txt} with the
   * o200k split pattern of the MiniMax family. {@code tokenizer_config.json}, where present, names
   * the special tokens that begin and end a sequence.
   *
   * <p>A vocabulary of exactly 200,000 base tokens is taken for the released MiniMax-01 and M1
   * vocabulary: 64 special tokens follow, of which {@code <end_of_sentence>} 200020 is confirmed
   * and {@code <beginning_of_sentence>} 200019, {@code <end_of_document>} 200021 and {@code
   * <begin_of_document>} 200034 are inferred. The other 60 have no published name and are never
   * produced by {@link #encode}. Any other vocabulary gets the special tokens of its {@code
   * tokenizer_config.json}.
   *
   * <p>The first call in a JVM loads a native library, kept under {@code ~/.djl.ai} (or {@code
   * DJL_CACHE_DIR}).
   *
   * @param folder the checkpoint folder
   * @return the tokenizer, to be closed by the caller
   * @throws CheckpointException if a file is missing, broken or not a byte-level BPE
   * @throws IllegalStateException if the native tokenizer cannot be loaded on this machine
   */
  static Tokenizer load(Path folder) {
    return ByteLevelTokenizer.load(folder);
  }

  /**
   * Splits text into tokens. No token is added; special tokens that stand literally in the text are
   * recognised, so text from outside can contain them.
   *
   * @param text any text; an unpaired surrogate is read as U+FFFD
   * @return the token ids
   * @throws IllegalStateException if the tokenizer is closed
   */
  int[] encode(String text);

  /**
   * Joins tokens to text, special tokens included.
   *
   * @param ids token ids
   * @return the text
   * @throws IllegalArgumentException if an id is outside the vocabulary
   */
  default String decode(int[] ids) {
    return decode(ids, false);
  }

  /**
   * Joins tokens to text.
   *
   * @param ids token ids
   * @param skipSpecial whether to leave out special tokens
   * @return the text
   * @throws IllegalArgumentException if an id is outside the vocabulary
   */
  String decode(int[] ids, boolean skipSpecial);

  /**
   * The bytes a token stands for: raw bytes for a base token, UTF-8 for an added one. A slot that
   * has no token reads as {@code <reserved_ID>}.
   *
   * @param id a token id
   * @return a copy of the bytes
   * @throws IllegalArgumentException if the id is outside the vocabulary
   */
  byte[] bytes(int id);

  /**
   * Whether a token is a control mark rather than text.
   *
   * @param id a token id
   * @return true for special tokens and for slots without a token
   * @throws IllegalArgumentException if the id is outside the vocabulary
   */
  boolean isSpecial(int id);

  /**
   * The number of ids.
   *
   * @return the largest id plus one, added tokens included
   */
  int vocabularySize();

  /**
   * Looks a token up by its name in the vocabulary file (for base tokens in GPT-2's printable
   * spelling, where a space is {@code Ġ}).
   *
   * @param token the name
   * @return its id, if there is such a token
   */
  OptionalInt id(String token);

  /**
   * The token that ends an answer.
   *
   * @return its id, if {@code tokenizer_config.json} names one that exists
   */
  OptionalInt eos();

  /**
   * The token that begins a sequence.
   *
   * @return its id, if {@code tokenizer_config.json} names one that exists
   */
  OptionalInt bos();

  /** Frees the native tokenizer. Closing twice is allowed. */
  @Override
  void close();
}
