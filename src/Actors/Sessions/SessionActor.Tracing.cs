using NetdumpCollector.Protocol;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Actors.Sessions;

public sealed partial class SessionActor
{
    private DumpTrace? _trace;
    private bool _isTraceDecided;
    private bool _isResumed;
    private long _dataUs;

    /// <summary>Begins the dump's trace when it is wanted and has not begun: with its files, or at any later time where somebody begins to listen then.</summary>
    private void BeginTrace()
    {
        if (_isTraceDecided || _file is null || !SpanSource.IsWanted)
            return;
        _isTraceDecided = true;
        _trace = DumpTrace.Begin(
            new()
            {
                Id = _file.Identity.Id,
                Client = _client.Remote,
                LocalAddress = _client.Local,
                LocalPort = _endpoint.Port,
                Endpoint = EndpointMode,
                StartedAt = _startedAt,
                DataUs = _dataUs,
                ResumedBytes = _isResumed ? _session.CoveredBytes : null,
            },
            _environment.Time);
        if (_wonBurst)
            _trace?.Confirm();
    }

    /// <summary>Before packets of a batch are taken.</summary>
    private void TracePackets(long nowUs)
    {
        if (_trace is not null)
            _trace.OnPackets(_session.LastPacketUs, nowUs);
        else
            BeginTrace();
    }

    private void TraceHeader(KernelDumpHeader header)
    {
        BeginTrace();
        _trace?.OnHeader(header, _session.LastPacketUs);
    }

    /// <summary>Hands the trace over to whom the dump is handed over to.</summary>
    private DumpTrace? EndTransfer(DumpSummary summary)
    {
        BeginTrace();
        var trace = _trace;
        _trace = null;
        trace?.Arrived(summary, _session.LastPacketUs, Context.NowUs);
        return trace;
    }

    /// <summary>What is logged while it lasts belongs to the dump's span.</summary>
    private SpanScope InTrace() => new(_trace?.Root);
}
