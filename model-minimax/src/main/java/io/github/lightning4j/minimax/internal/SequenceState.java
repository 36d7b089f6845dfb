package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.vlmquant.TokenClass;
import org.jspecify.annotations.Nullable;

/**
 * One sequence: what the layers remember of it, how many tokens they have seen, and whether a
 * prompt is being read.
 */
public final class SequenceState implements AutoCloseable {
  private final SequenceMemory memory;
  private long position;
  private boolean inPrompt;
  private boolean promptEnds;
  private @Nullable InsertedRows inserted;

  /** The state before the first token; closing it closes the memory. */
  public SequenceState(SequenceMemory memory) {
    this.memory = memory;
  }

  /** A copy that goes its own way; caches share their full pages. Not within a prompt. */
  public SequenceState fork() {
    checkState(!inPrompt, "a prompt is being read; fork behind its end");
    SequenceState copy = new SequenceState(memory.fork());
    copy.position = position;
    return copy;
  }

  /** What the layers remember. */
  public SequenceMemory memory() {
    return memory;
  }

  /**
   * A prompt begins, in one call or several; or goes on, where one has begun.
   *
   * @param asQuantized whether its tokens read one another as quantized, whatever the policy says
   */
  public void beginPrompt(boolean asQuantized) {
    if (!inPrompt) {
      inPrompt = true;
      memory.beginPrompt(asQuantized);
    }
  }

  /**
   * Tells whether the tokens read next are the last of the prompt. Each layer then ends it once
   * they have attended, so that not all layers hold it in 16 bits at once.
   */
  public void promptEnds(boolean ends) {
    promptEnds = inPrompt && ends;
  }

  /** As told of the tokens that are read. */
  boolean promptEnds() {
    return promptEnds;
  }

  /** The prompt is complete, if one has begun. */
  public void endPrompt() {
    if (inPrompt) {
      memory.endPrompt();
      inPrompt = false;
      promptEnds = false;
    }
  }

  /** Whether a prompt has begun and not ended: its sinks are not known yet. */
  public boolean inPrompt() {
    return inPrompt;
  }

  /** Tokens seen, which is the position of the next one. */
  public long position() {
    return position;
  }

  /** Counts tokens whose layers have all been updated. */
  public void advance(long tokens) {
    position += tokens;
  }

  /** Lets rows stand for tokens to come; null: for none. */
  public void insert(@Nullable InsertedRows rows) {
    inserted = rows;
  }

  /** What stands for tokens to come; null: nothing. */
  public @Nullable InsertedRows inserted() {
    return inserted;
  }

  /** TEXT or VISUAL for each of the next tokens; null: all are text. */
  TokenClass @Nullable [] classes(long tokens) {
    return inserted == null ? null : inserted.classes(position, tokens);
  }

  @Override
  public void close() {
    memory.close();
  }
}
