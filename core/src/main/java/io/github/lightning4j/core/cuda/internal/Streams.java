package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Memory;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;

/** Streams, events and graphs by the addresses that the driver gave them. */
public final class Streams {
  private Streams() {}

  static CUstream_st of(long stream) {
    return new CUstream_st(Memory.pointer(stream, 0));
  }

  private static CUevent_st event(long event) {
    return new CUevent_st(Memory.pointer(event, 0));
  }

  private static CUgraphExec_st graph(long graph) {
    return new CUgraphExec_st(Memory.pointer(graph, 0));
  }

  /** Creates a stream that does not wait for the default stream. */
  public static long create(int device) {
    Driver.enter(device);
    CUstream_st stream = new CUstream_st();
    Driver.check(
        cudart.cuStreamCreate(stream, cudart.CU_STREAM_NON_BLOCKING),
        "a new stream on cuda:" + device);
    return stream.address();
  }

  /** Ends a stream; what is on it still runs. */
  public static void destroy(int device, long stream) {
    if (Driver.enterToRelease(device)) {
      Driver.release(cudart.cuStreamDestroy(of(stream)), "cuStreamDestroy on cuda:" + device);
    }
  }

  /** Waits for all that is on a stream. */
  public static void synchronize(int device, long stream) {
    Driver.enter(device);
    Driver.check(cudart.cuStreamSynchronize(of(stream)), "work on cuda:" + device);
  }

  /** Whether all that is on a stream has ended. */
  public static boolean isDone(int device, long stream) {
    Driver.enter(device);
    return answer(cudart.cuStreamQuery(of(stream)), "work on cuda:" + device);
  }

  private static boolean answer(int status, String what) {
    if (status == cudart.CUDA_ERROR_NOT_READY) {
      return false;
    }
    Driver.check(status, what);
    return true;
  }

  /** Lets what comes on a stream wait for an event. */
  public static void await(int device, long stream, long event) {
    Driver.enter(device);
    Driver.check(
        cudart.cuStreamWaitEvent(of(stream), event(event), 0),
        "waiting for an event on cuda:" + device);
  }

  /** Creates an event that tells the time. */
  public static long createEvent(int device) {
    Driver.enter(device);
    CUevent_st event = new CUevent_st();
    Driver.check(
        cudart.cuEventCreate(event, cudart.CU_EVENT_DEFAULT), "a new event on cuda:" + device);
    return event.address();
  }

  /** Ends an event. */
  public static void destroyEvent(int device, long event) {
    if (Driver.enterToRelease(device)) {
      Driver.release(cudart.cuEventDestroy(event(event)), "cuEventDestroy on cuda:" + device);
    }
  }

  /** Lets an event stand for all that is on a stream so far. */
  public static void record(int device, long event, long stream) {
    Driver.enter(device);
    Driver.check(
        cudart.cuEventRecord(event(event), of(stream)), "recording an event on cuda:" + device);
  }

  /** Whether what an event stands for has ended. */
  public static boolean isEventDone(int device, long event) {
    Driver.enter(device);
    return answer(cudart.cuEventQuery(event(event)), "work on cuda:" + device);
  }

  /** Waits for what an event stands for. */
  public static void synchronizeEvent(int device, long event) {
    Driver.enter(device);
    Driver.check(cudart.cuEventSynchronize(event(event)), "work on cuda:" + device);
  }

  /** Milliseconds between two events that have ended. */
  public static float elapsed(int device, long start, long end) {
    Driver.enter(device);
    float[] milliseconds = {0};
    Driver.check(
        cudart.cuEventElapsedTime(milliseconds, event(start), event(end)),
        "the time between events on cuda:" + device);
    return milliseconds[0];
  }

  /** From here on, what this thread puts on a stream is recorded and not run. */
  public static void beginCapture(int device, long stream) {
    Driver.enter(device);
    Driver.check(
        cudart.cuStreamBeginCapture(of(stream), cudart.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "recording a graph on cuda:" + device);
  }

  /** Ends recording and drops what was recorded, whatever state it is in. */
  public static void abandonCapture(int device, long stream) {
    if (Driver.enterToRelease(device)) {
      CUgraph_st graph = new CUgraph_st();
      if (cudart.cuStreamEndCapture(of(stream), graph) == cudart.CUDA_SUCCESS && !graph.isNull()) {
        cudart.cuGraphDestroy(graph);
      }
    }
  }

  /** Ends recording and makes the graph ready to run. */
  public static long endCapture(int device, long stream) {
    Driver.enter(device);
    CUgraph_st recorded = new CUgraph_st();
    Driver.check(
        cudart.cuStreamEndCapture(of(stream), recorded), "recording a graph on cuda:" + device);
    CUgraphExec_st graph = new CUgraphExec_st();
    int status = cudart.cuGraphInstantiate(graph, recorded, 0);
    cudart.cuGraphDestroy(recorded);
    Driver.check(status, "making a graph on cuda:" + device);
    return graph.address();
  }

  /** Puts a graph on a stream. */
  public static void launchGraph(int device, long graph, long stream) {
    Driver.enter(device);
    Driver.check(
        cudart.cuGraphLaunch(graph(graph), of(stream)), "running a graph on cuda:" + device);
  }

  /** Ends a graph. */
  public static void destroyGraph(int device, long graph) {
    if (Driver.enterToRelease(device)) {
      Driver.release(cudart.cuGraphExecDestroy(graph(graph)), "cuGraphExecDestroy");
    }
  }
}
