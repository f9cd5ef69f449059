using System.Runtime.InteropServices;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Turns the first SIGINT, SIGTERM or SIGHUP into a request to stop; the second one ends the process at once.</summary>
internal sealed class TerminationSignals : IDisposable
{
    /// <summary>SIGXFSZ on Linux, and on FreeBSD and macOS as well.</summary>
    private const int SigXfsz = 25;

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;

    public TerminationSignals() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal),
        // A file beyond RLIMIT_FSIZE is a write error like others (EFBIG), not the end of the server.
        PosixSignalRegistration.Create((PosixSignal)SigXfsz, context => context.Cancel = true),
    ];

    public CancellationToken Stop => _stop.Token;

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _stop.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = !_stop.IsCancellationRequested;
        _stop.Cancel();
    }
}
