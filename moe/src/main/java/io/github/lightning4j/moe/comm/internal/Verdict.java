package io.github.lightning4j.moe.comm.internal;

import com.google.common.base.Joiner;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Whether the calls of all ranks fit together; the same on every rank, as all see all headers. */
final class Verdict {
  private static final int MOST_PAIRS = 4;

  private Verdict() {}

  /** What is wrong, or null. */
  static @Nullable String of(List<Header> headers) {
    String refused = refused(headers);
    if (refused != null) {
      return refused;
    }
    String calls = difference("the ranks call different operations", headers, Header::call);
    if (calls != null) {
      return calls;
    }
    String order = difference("the ranks are not in step", headers, h -> "call " + h.sequence());
    return order != null ? order : rows(headers);
  }

  /** Which ranks have which value, if not all have the same; null if they do. */
  static @Nullable String difference(
      String what, List<Header> headers, Function<Header, String> value) {
    Map<String, List<Integer>> ranks = new LinkedHashMap<>();
    for (int rank = 0; rank < headers.size(); rank++) {
      ranks.computeIfAbsent(value.apply(headers.get(rank)), v -> new ArrayList<>()).add(rank);
    }
    if (ranks.size() == 1) {
      return null;
    }
    List<String> parts = new ArrayList<>();
    ranks.forEach((v, who) -> parts.add(names(who) + " '" + v + "'"));
    return what + ": " + Joiner.on(", ").join(parts);
  }

  private static String names(List<Integer> ranks) {
    return ranks.size() == 1 ? "rank " + ranks.get(0) : "ranks " + Joiner.on(" ").join(ranks);
  }

  private static @Nullable String refused(List<Header> headers) {
    List<String> parts = new ArrayList<>();
    for (int rank = 0; rank < headers.size(); rank++) {
      if (headers.get(rank).refused()) {
        parts.add("rank " + rank + " refused its arguments: " + headers.get(rank).value());
      }
    }
    return parts.isEmpty() ? null : Joiner.on("; ").join(parts);
  }

  private static @Nullable String rows(List<Header> headers) {
    List<String> parts = new ArrayList<>();
    for (int to = 0; to < headers.size(); to++) {
      long[] expects = headers.get(to).expects();
      for (int from = 0; from < expects.length; from++) {
        long sends = headers.get(from).sends()[to];
        if (sends != expects[from]) {
          parts.add(
              "rank %d sends %d rows to rank %d, which expects %d"
                  .formatted(from, sends, to, expects[from]));
        }
      }
    }
    if (parts.isEmpty()) {
      return null;
    }
    int more = parts.size() - MOST_PAIRS;
    String list = Joiner.on("; ").join(parts.subList(0, Math.min(MOST_PAIRS, parts.size())));
    return headers.get(0).call() + ": " + list + (more > 0 ? "; and " + more + " more" : "");
  }
}
