package io.github.lightning4j.moe.comm.internal;

import com.google.common.base.Joiner;
import com.google.common.base.Splitter;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Where the process of a rank can be met, and the word by which it knows its visitors: another
 * program, or a rank of another job, may knock at the same port.
 *
 * @param port where it listens
 * @param word a random number
 * @param hosts the addresses of its host; a loopback address comes first, so that ranks of one host
 *     need no network, and the word tells when that was the wrong host
 */
record Meeting(int port, long word, List<String> hosts) {
  private static final int MOST_HOSTS = 12;
  private static final int CONNECT_MILLIS = 5000;
  private static final int GREET_MILLIS = 5000;

  /** The bytes by which a visitor begins: the word, and its rank. */
  static final int HELLO = 8 + 4;

  static Meeting at(ServerSocketChannel listener) throws IOException {
    List<InetAddress> addresses =
        NetworkInterface.networkInterfaces()
            .filter(Meeting::isUp)
            .flatMap(NetworkInterface::inetAddresses)
            .filter(address -> !address.isLoopbackAddress() && !address.isLinkLocalAddress())
            .sorted((a, b) -> Boolean.compare(b instanceof Inet4Address, a instanceof Inet4Address))
            .limit(MOST_HOSTS)
            .collect(Collectors.toList());
    addresses.add(0, InetAddress.getLoopbackAddress());
    int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
    return new Meeting(
        port,
        new SecureRandom().nextLong(),
        addresses.stream().map(InetAddress::getHostAddress).toList());
  }

  private static boolean isUp(NetworkInterface network) {
    try {
      return network.isUp();
    } catch (IOException e) {
      return false;
    }
  }

  String text() {
    return port + " " + word + " " + Joiner.on(' ').join(hosts);
  }

  static Meeting of(String text) {
    List<String> parts = Splitter.on(' ').splitToList(text);
    return new Meeting(
        Integer.parseInt(parts.get(0)),
        Long.parseLong(parts.get(1)),
        parts.subList(2, parts.size()));
  }

  /** Connects to the rank whose meeting this is. */
  SocketChannel visit(int visitor) throws IOException {
    List<String> failures = new ArrayList<>();
    for (String address : hosts) {
      SocketChannel channel = SocketChannel.open();
      try {
        Socket socket = channel.socket();
        socket.connect(new InetSocketAddress(address, port), CONNECT_MILLIS);
        socket.setTcpNoDelay(true);
        channel.write(ByteBuffer.allocate(HELLO).putLong(word).putInt(visitor).flip());
        if (isConfirmed(channel)) {
          return channel;
        }
        failures.add(address + ": somebody else answered");
      } catch (IOException e) {
        failures.add(address + ": " + e.getMessage());
      }
      channel.close();
    }
    throw new IOException(
        "it cannot be reached at port "
            + port
            + " of "
            + failures
            + "; open the ports of /proc/sys/net/ipv4/ip_local_port_range between the hosts");
  }

  /** Answers the hello of a visitor; returns its rank, or null if it does not know the word. */
  @Nullable Integer greet(SocketChannel visitor, ByteBuffer hello) throws IOException {
    if (hello.getLong() != word) {
      return null;
    }
    visitor.socket().setTcpNoDelay(true);
    visitor.write(ByteBuffer.allocate(8).putLong(~word).flip());
    return hello.getInt();
  }

  private boolean isConfirmed(SocketChannel channel) throws IOException {
    byte[] answer = read(channel, 8);
    return answer.length == 8 && ByteBuffer.wrap(answer).getLong() == ~word;
  }

  private static byte[] read(SocketChannel channel, int bytes) throws IOException {
    channel.socket().setSoTimeout(GREET_MILLIS);
    return channel.socket().getInputStream().readNBytes(bytes);
  }
}
