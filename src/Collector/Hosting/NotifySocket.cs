using System.Net.Sockets;
using System.Text;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Where a service manager listens for what its service tells it: one datagram of <c>NAME=value</c> lines at a time.</summary>
/// <remarks>Source: sd_notify(3).</remarks>
internal sealed class NotifySocket : IDisposable
{
    private const string Variable = "NOTIFY_SOCKET";

    /// <summary>A manager that does not read must not hold the end of the server up.</summary>
    private const int SendTimeoutMs = 1000;

    private readonly Socket _socket;
    private readonly UnixDomainSocketEndPoint _manager;

    private NotifySocket(UnixDomainSocketEndPoint manager)
    {
        _manager = manager;
        _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = SendTimeoutMs };
    }

    /// <summary>The socket that the environment names; null where no manager wants to be told.</summary>
    public static NotifySocket? Open(IReadOnlyDictionary<string, string> environment)
    {
        if (!environment.TryGetValue(Variable, out string? name) || name.Length < 2 || name[0] is not ('/' or '@'))
            return null;

        try
        {
            // An abstract name starts with NUL, which environment variables cannot hold.
            return new(new(name[0] == '@' ? $"\0{name[1..]}" : name));
        }
        catch (Exception e) when (e is ArgumentException or SocketException or PlatformNotSupportedException)
        {
            return null;
        }
    }

    /// <summary>Sends one message. A manager that is not there is none of the server's problems: it would notice by itself.</summary>
    public void Send(string message)
    {
        try
        {
            _socket.SendTo(Encoding.UTF8.GetBytes(message), _manager);
        }
        catch (SocketException)
        {
        }
    }

    public void Dispose() => _socket.Dispose();
}
