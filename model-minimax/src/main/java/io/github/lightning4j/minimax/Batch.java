package io.github.lightning4j.minimax;

import static java.util.Comparator.comparingInt;

import com.google.common.collect.Iterables;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.SessionGroup.Turn;
import io.github.lightning4j.minimax.internal.Drafts;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/**
 * Sequences that run together (continuous batching): each step reads one token for every sequence
 * that is being written, and chunks of the prompts of others, in one pass. They join and leave
 * between steps.
 *
 * <p>What is left of a step's tokens is shared evenly among the prompts; what a short one does not
 * need goes to the longer ones. So no prompt waits for another to end, and no sequence ever skips a
 * step.
 *
 * <p>Where caches know classes of tokens, prompts are read one after another instead, in the order
 * they joined in, and what is left of a step goes to the first alone: an open prompt lies in 16
 * bits, so that prompts read side by side would hold as much as with caches of 16 bits. Sequences
 * that are being written still get their token with every step.
 *
 * <p>A sequence that fails ends alone. If a step fails as a whole, the states of all in it are
 * lost: each is read again with a session of its own, and goes one token on by itself before it
 * joins the others; the one that fails by itself is the one that ends. A step that the budget of
 * caches has no room for reads nothing, and ends the sequence that joined last. A step is given up
 * only where all in it are cancelled; one of several ends between two.
 *
 * <p>Not thread-safe.
 */
final class Batch implements AutoCloseable {
  /** A sequence and who waits for it. */
  static final class Member {
    private final Sequence sequence;
    private final CompletableFuture<GenerationResult> outcome;
    private boolean suspect;

    Member(Sequence sequence, CompletableFuture<GenerationResult> outcome) {
      this.sequence = sequence;
      this.outcome = outcome;
    }
  }

  private final BatchLimits limits;
  private final boolean oneByOne;
  private final List<Member> members = new ArrayList<>();

  /**
   * An empty batch.
   *
   * @param oneByOne whether prompts are read one after another, not side by side
   */
  Batch(BatchLimits limits, boolean oneByOne) {
    this.limits = limits;
    this.oneByOne = oneByOne;
  }

  boolean isEmpty() {
    return members.isEmpty();
  }

  /** How many more may join. */
  int room() {
    return limits.sessions() - members.size();
  }

  /** Takes a sequence in; its first tokens are read with the next step. */
  void add(Member member) {
    members.add(member);
  }

  /** Reads some tokens of every member. */
  void step() {
    step(() -> false);
  }

  /**
   * The same, given up once all that take part are cancelled, or {@code closing} is true: which
   * ends them.
   */
  void step(BooleanSupplier closing) {
    for (Member member : List.copyOf(members)) {
      endIfCancelled(member);
    }
    Map<Member, Turn> turns = plan();
    if (turns.isEmpty()) {
      return;
    }
    try {
      Threads.cancellable(
          () -> closing.getAsBoolean() || turns.keySet().stream().allMatch(Batch::isCancelled),
          () -> SessionGroup.run(List.copyOf(turns.values())));
    } catch (CancellationException e) {
      turns.keySet().forEach(this::cancel);
      return;
    } catch (PageBudgetException e) {
      // Nothing has been read: the rest goes on with the pages of the one that came last.
      fail(Iterables.getLast(Iterables.filter(members, turns::containsKey)), e);
      return;
    } catch (RuntimeException | Error e) {
      recover(turns.keySet(), e);
      return;
    }
    turns.keySet().forEach(this::accept);
  }

  private Map<Member, Turn> plan() {
    Map<Member, Turn> turns = new LinkedHashMap<>();
    for (Member member : List.copyOf(members)) {
      if (member.suspect) {
        plan(turns, member, limits.tokensPerStep());
        return turns;
      }
    }
    List<Member> writing = members.stream().filter(m -> !isReading(m)).toList();
    Stream<Member> prompts = members.stream().filter(this::isReading);
    List<Member> reading =
        (oneByOne ? prompts.limit(1) : prompts.sorted(comparingInt(m -> m.sequence.pending())))
            .toList();
    // Guesses only as far as the bits of a row do not depend on the others.
    int together = reading.isEmpty() ? Math.min(Drafts.MAX_TOKENS, limits.tokensPerStep()) : 1;
    for (Member member : writing) {
      plan(turns, member, Math.max(1, together / writing.size()));
    }
    int left = limits.tokensPerStep() - writing.size();
    for (int i = 0; i < reading.size(); i++) {
      int waiting = reading.size() - i;
      left -= plan(turns, reading.get(i), (left + waiting - 1) / waiting);
    }
    return turns;
  }

  /** One token of a prompt is read as text is, unless prompts are to be open one by one. */
  private boolean isReading(Member member) {
    return member.sequence.pending() > 1 || (oneByOne && member.sequence.isInPrompt());
  }

  /** Asks a member what it reads next; how many tokens that are. */
  private int plan(Map<Member, Turn> turns, Member member, int most) {
    try {
      Turn turn = member.sequence.next(most);
      turns.put(member, turn);
      return turn.ids().length;
    } catch (RuntimeException | Error e) {
      fail(member, e);
      return 0;
    }
  }

  private void recover(Set<Member> stepped, Throwable failure) {
    for (Member member : stepped) {
      if (stepped.size() == 1) {
        fail(member, failure);
      } else {
        close(member);
        member.sequence.renew();
        member.suspect = true;
      }
    }
  }

  private void accept(Member member) {
    try {
      if (member.sequence.accept()) {
        member.suspect &= member.sequence.pending() > 1;
      } else {
        end(member);
      }
    } catch (RuntimeException | Error e) {
      fail(member, e);
    }
  }

  /** Within a step; a listener that fails is heard between two, and fails its member alone. */
  private static boolean isCancelled(Member member) {
    try {
      return member.sequence.isCancelled();
    } catch (RuntimeException | Error e) {
      return false;
    }
  }

  private void endIfCancelled(Member member) {
    try {
      if (member.sequence.isCancelled()) {
        cancel(member);
      }
    } catch (RuntimeException | Error e) {
      fail(member, e);
    }
  }

  /** Ends a member, or one that never became one, with what there is. */
  void cancel(Member member) {
    try {
      member.sequence.cancel();
      end(member);
    } catch (RuntimeException | Error e) {
      fail(member, e);
    }
  }

  private void end(Member member) {
    GenerationResult result = member.sequence.result();
    members.remove(member);
    close(member);
    member.outcome.complete(result);
  }

  private void fail(Member member, Throwable failure) {
    members.remove(member);
    close(member);
    member.outcome.completeExceptionally(failure);
  }

  /** What cannot be closed failed before, and that is what is told. */
  private static void close(Member member) {
    try {
      member.sequence.close();
    } catch (RuntimeException e) {
      // told already
    }
  }

  /** Cancels all members. */
  @Override
  public void close() {
    List.copyOf(members).forEach(this::cancel);
  }
}
