using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.ObjectStore;

/// <summary>Passes connections on to a server and changes one byte in the midst of the first megabyte-long stretch of what a client sends.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class CorruptingProxy : IDisposable
{
    private const int AtByte = 1 << 20;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private int _corrupted;

    public CorruptingProxy(Uri server)
    {
        _listener.Start();
        Endpoint = new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");
        _ = AcceptAsync(server);
    }

    public Uri Endpoint { get; }

    /// <summary>A byte was changed.</summary>
    public bool HasCorrupted => Volatile.Read(ref _corrupted) != 0;

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync(Uri server)
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                _ = PassAsync(client, server);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task PassAsync(TcpClient client, Uri server)
    {
        using (client)
        using (var upstream = new TcpClient())
        {
            try
            {
                await upstream.ConnectAsync(server.Host, server.Port, _stop.Token);
                await Task.WhenAny(
                    CopyAsync(client.GetStream(), upstream.GetStream(), corrupts: true),
                    CopyAsync(upstream.GetStream(), client.GetStream(), corrupts: false));
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or SocketException)
            {
                // Either side has hung up.
            }
        }
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to, bool corrupts)
    {
        byte[] buffer = new byte[64 << 10];
        long passed = 0;
        while (await from.ReadAsync(buffer, _stop.Token) is > 0 and var read)
        {
            if (corrupts && passed + read > AtByte && Interlocked.Exchange(ref _corrupted, 1) == 0)
                buffer[read / 2] ^= 0x20;
            passed += read;
            await to.WriteAsync(buffer.AsMemory(0, read), _stop.Token);
        }
    }
}
