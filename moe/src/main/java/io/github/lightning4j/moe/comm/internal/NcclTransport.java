package io.github.lightning4j.moe.comm.internal;

import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Payloads over NCCL, all else over another transport. Each communicator has an NCCL communicator
 * of its own, as NCCL matches messages by their order alone; the messages of one payload are one
 * group of it, because NCCL ends them only together.
 */
public final class NcclTransport implements Transport {
  private final Transport host;
  private final int device;
  private final Map<Integer, NcclGroup> groups = new HashMap<>();
  private @Nullable NcclPayload current;

  private NcclTransport(Transport host, int device) {
    this.host = host;
    this.device = device;
  }

  /** Joins the world that {@code mpirun} has started, with a GPU; once in a process. */
  public static Collectives join(int device) {
    return MpiTransport.join(host -> new NcclTransport(host, device));
  }

  @Override
  public void open(Group group, Function<String, List<String>> texts) {
    if (group.size() == 1) {
      return;
    }
    NcclGroup.use(device);
    String id = group.rank() == 0 ? HexFormat.of().formatHex(NcclComm.newId()) : "";
    byte[] agreed = HexFormat.of().parseHex(texts.apply(id).get(0));
    groups.put(group.context(), new NcclGroup(group, agreed, host.roster()));
  }

  @Override
  public void together(Group group, Runnable starts) {
    NcclGroup own = groups.get(group.context());
    if (own == null) {
      starts.run();
      return;
    }
    NcclGroup.use(device);
    NcclPayload payload = new NcclPayload(own, device);
    current = payload;
    try {
      starts.run();
    } finally {
      current = null;
    }
    payload.start();
  }

  @Override
  public Message send(long address, long bytes, int to, int tag) {
    NcclPayload payload = current;
    return payload == null ? host.send(address, bytes, to, tag) : payload.send(address, bytes, to);
  }

  @Override
  public Message receive(long address, long bytes, int from, int tag) {
    NcclPayload payload = current;
    return payload == null
        ? host.receive(address, bytes, from, tag)
        : payload.receive(address, bytes, from);
  }

  @Override
  public int rank() {
    return host.rank();
  }

  @Override
  public int size() {
    return host.size();
  }

  @Override
  public int maxTag() {
    return host.maxTag();
  }

  @Override
  public Roster roster() {
    return host.roster();
  }

  @Override
  public void announce(Notice notice) {
    host.announce(notice);
  }

  @Override
  public void abandon() {
    groups.values().forEach(NcclGroup::abort);
    groups.clear();
    host.abandon();
  }

  /** Ends NCCL's communicators when all ranks are there to do so, and are still watched. */
  @Override
  public void close(Runnable poll) {
    host.roster().awaitAllLeftBut(rank(), poll);
    try {
      if (!groups.isEmpty()) {
        NcclGroup.use(device);
      }
      groups.values().forEach(NcclGroup::close);
    } finally {
      groups.clear();
      host.close(poll);
    }
  }
}
