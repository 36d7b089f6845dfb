package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.PendingTransfer;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.internal.Exchange.Payload;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The operations of a communicator, over any transport. */
public final class Collectives implements Communicator {
  private static final long[] NONE = {};

  private final Progress progress;
  private final Group group;
  private final @Nullable Collectives whole;
  private final Set<Collectives> parts = new LinkedHashSet<>();
  private long operations;
  private boolean closed;

  private Collectives(Progress progress, Group group, @Nullable Collectives whole) {
    this.progress = progress;
    this.group = group;
    this.whole = whole;
  }

  /** The communicator of all ranks. */
  public static Collectives world(Transport transport) {
    int[] ranks = IntStream.range(0, transport.size()).toArray();
    return new Collectives(
        new Progress(transport), new Group(Roster.WORLD, ranks, transport.rank()), null);
  }

  @Override
  public int rank() {
    return group.rank();
  }

  @Override
  public int size() {
    return group.size();
  }

  @Override
  public void barrier() {
    run("barrier", "", NONE, null);
  }

  @Override
  public void allGather(Tensor in, Tensor out) {
    TensorExchange call =
        checked("allGather", () -> TensorExchange.allGather(in, out, rank(), size()));
    run(call.text(), "", call.sends(), call.payload());
  }

  @Override
  public void allReduceSum(Tensor inOut) {
    RankSum sum = checked("allReduceSum", () -> new RankSum(inOut, rank(), size()));
    try {
      run(sum.text(), "", NONE, sum.scatter());
      sum.add();
      run(sum.text() + " (sums)", "", NONE, sum.gather());
    } catch (RankMismatchException e) {
      sum.close();
      throw e;
    }
    sum.close(); // not after a failure: its memory may still be written then
  }

  @Override
  public long[] allToAllCounts(long... rowsTo) {
    checked("allToAllCounts", () -> TensorExchange.counts("rowsTo", rowsTo, size()));
    return run("allToAllCounts", "", rowsTo.clone(), null).headers().stream()
        .mapToLong(header -> header.sends()[rank()])
        .toArray();
  }

  @Override
  public void allToAll(Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom) {
    progress.await(begin(rows(send, rowsTo, out, rowsFrom)));
  }

  @Override
  public PendingTransfer allToAllAsync(Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom) {
    Exchange exchange = begin(rows(send, rowsTo, out, rowsFrom));
    progress.driveInBackground();
    return new PendingExchange(progress, exchange);
  }

  private TensorExchange rows(Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom) {
    return checked("allToAll", () -> TensorExchange.allToAll(send, rowsTo, out, rowsFrom, size()));
  }

  private Exchange begin(TensorExchange call) {
    return start(false, call.text(), "", call.sends(), call.expects(), call.payload());
  }

  @Override
  public Communicator split(int color, int key) {
    long[] mine = {color, key, progress.proposeContext()};
    List<Header> headers = run("split", "", mine, null).headers();
    int context = (int) headers.stream().mapToLong(h -> h.sends()[2]).max().orElseThrow();
    checkState(
        2 * context + 1 <= progress.transport().maxTag(),
        "split: no more than %s communicators can be made",
        progress.transport().maxTag() / 2);
    progress.agreeContext(context);
    int[] members =
        IntStream.range(0, size())
            .filter(r -> headers.get(r).sends()[0] == color)
            .boxed()
            .sorted((a, b) -> Long.compare(headers.get(a).sends()[1], headers.get(b).sends()[1]))
            .mapToInt(r -> r)
            .toArray();
    int position = IntStream.range(0, members.length).filter(i -> members[i] == rank()).sum();
    int[] worldRanks = IntStream.of(members).map(r -> group.ranks()[r]).toArray();
    Collectives part = new Collectives(progress, new Group(context, worldRanks, position), this);
    parts.add(part);
    part.open();
    return part;
  }

  @Override
  public void checkSame(String name, String fingerprint) {
    checked(
        "checkSame",
        () -> {
          int bytes = fingerprint.getBytes(StandardCharsets.UTF_8).length;
          checkArgument(
              bytes <= Header.MAX_TEXT,
              "fingerprint: expected at most %s bytes, got %s; pass a digest of it",
              Header.MAX_TEXT,
              bytes);
          return fingerprint;
        });
    String difference =
        Verdict.difference(name + " differs", gather(name, fingerprint), Header::value);
    if (difference != null) {
      throw new RankMismatchException(difference);
    }
  }

  private List<Header> gather(String name, String value) {
    return run("checkSame " + name, value, NONE, null).headers();
  }

  /** Lets the transport make ready for payloads. */
  void open() {
    progress
        .transport()
        .open(group, text -> gather("transport", text).stream().map(Header::value).toList());
  }

  /** The texts of all ranks, before the first operation; who is silent for so long has failed. */
  List<String> gatherTexts(String text, long limitNanos) {
    Exchange exchange = start(false, "texts", text, NONE, NONE, null);
    progress.await(exchange, limitNanos);
    operations = 0;
    return exchange.headers().stream().map(Header::value).toList();
  }

  @Override
  public void ensureHealthy() {
    progress.transport().roster().ensureHealthy();
  }

  @Override
  public void fail(Throwable cause) {
    if (!(cause instanceof RankFailedException)) {
      progress.fail(group.ranks()[rank()], cause.toString());
    }
  }

  @Override
  public void close() {
    checkState(!closed, "communicator is closed already");
    leave();
    if (whole == null) {
      progress.close();
    } else {
      whole.parts.remove(this);
    }
  }

  private void leave() {
    if (!closed) {
      closed = true;
      parts.forEach(Collectives::leave);
      parts.clear();
      progress.transport().announce(Notice.left(group.context(), operations));
      if (whole != null) {
        progress.closePart(group.context());
      }
    }
  }

  private Exchange run(String call, String value, long[] sends, @Nullable Payload payload) {
    Exchange exchange = start(false, call, value, sends, NONE, payload);
    progress.await(exchange);
    return exchange;
  }

  private Exchange start(
      boolean refused,
      String call,
      String value,
      long[] sends,
      long[] expects,
      @Nullable Payload payload) {
    checkState(!closed, "communicator is closed");
    progress.ensureHealthy();
    Header header = new Header(operations++, refused, call, value, sends, expects);
    Exchange exchange = new Exchange(group, header, payload);
    progress.start(exchange);
    return exchange;
  }

  /** Checks arguments; if they are wrong, this rank takes part to say so, lest the others wait. */
  private <T> T checked(String call, Supplier<T> check) {
    checkState(!closed, "communicator is closed");
    try {
      return check.get();
    } catch (RuntimeException e) {
      try {
        progress.await(start(true, call, String.valueOf(e.getMessage()), NONE, NONE, null));
      } catch (RankMismatchException | RankFailedException told) {
        e.addSuppressed(told);
      }
      throw e;
    }
  }

  @Override
  public String toString() {
    return "rank " + rank() + " of " + size();
  }
}
