using System.Net.Sockets;
using System.Text;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The socket at which a service manager listens to its service.</summary>
internal sealed class NotifyListener : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    /// <param name="name">A path, or a name behind an at sign.</param>
    public NotifyListener(string name)
    {
        Name = name;
        _socket.Bind(new UnixDomainSocketEndPoint(name[0] == '@' ? $"\0{name[1..]}" : name));
    }

    /// <summary>What NOTIFY_SOCKET holds.</summary>
    public string Name { get; }

    /// <summary>A message waits to be received.</summary>
    public bool HasMessage => _socket.Poll(0, SelectMode.SelectRead);

    /// <summary>Lines of the next message.</summary>
    public async Task<string[]> NextAsync()
    {
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        byte[] buffer = new byte[4096];
        int length = await _socket.ReceiveAsync(buffer, SocketFlags.None, timeUp.Token);
        return Encoding.UTF8.GetString(buffer, 0, length).Split('\n');
    }

    /// <summary>The lines of the next message that has <paramref name="line"/>; those before it are passed over.</summary>
    public async Task<string[]> NextWithAsync(string line)
    {
        while (true)
        {
            string[] message = await NextAsync();
            if (message.Contains(line))
                return message;
        }
    }

    public void Dispose() => _socket.Dispose();
}
