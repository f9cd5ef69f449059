using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>The lab itself: the virtual address moves when a node says so, and only then; servers answer behind it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class TakeoverLabTests(ITestOutputHelper output) : IDisposable
{
    private const int EchoPort = 7;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [TakeoverTheory]
    [InlineData("moves")]
    [InlineData("stays at the old node, too")]
    [InlineData("stays at the old node, which is dead")]
    public async Task Clients_reach_the_node_that_announced_the_virtual_address_last(string address)
    {
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path);
        using var a = Echo(lab.A, "a");
        using var b = Echo(lab.B, "b");
        using var client = lab.Clients.In(() => new UdpClient(new IPEndPoint(lab.NewClients().ToIPAddress(), 0)));
        client.Connect(TakeoverLab.VirtualAddress, EchoPort);
        Assert.Equal("a", Ask(client, TimeSpan.FromSeconds(5)));
        bool isDead = address.EndsWith("dead", StringComparison.Ordinal);

        if (isDead)
            await lab.A.UnplugAsync();
        else if (address == "moves")
            await lab.A.DropAddressAsync();
        // Without an announcement nobody knows.
        await lab.B.TakeAddressAsync(announces: false);
        Assert.NotEqual("b", Ask(client, TimeSpan.FromMilliseconds(200)));

        long moved = await lab.B.TakeAddressAsync();
        string? answer;
        do
        {
            answer = Ask(client, TimeSpan.FromMilliseconds(5));
        }
        while (answer != "b" && Stopwatch.GetElapsedTime(moved).TotalSeconds < 5);
        output.WriteLine($"{address}: {Stopwatch.GetElapsedTime(moved).TotalMilliseconds:F1} ms after the announcement");
        Assert.InRange(Stopwatch.GetElapsedTime(moved).TotalMilliseconds, 0, 500);
    }

    [TakeoverTheory]
    [InlineData(4)]
    public async Task A_server_on_every_address_answers_from_the_virtual_one(int clients)
    {
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path);
        await lab.A.StartAsync("--endpoint", "shared");

        var first = lab.NewClients();
        (await Ndblast.RunInAsync(lab.Clients, TakeoverLab.VirtualAddress, TakeoverLab.Port, first, "-n", $"{clients}", "-s", "1M")).Expect(0);
        await lab.A.StopAsync();
        await lab.A.DropAddressAsync();
        await lab.B.TakeAddressAsync();
        await lab.B.StartAsync("--endpoint", "shared");
        var second = lab.NewClients();
        (await Ndblast.RunInAsync(lab.Clients, TakeoverLab.VirtualAddress, TakeoverLab.Port, second, "-n", $"{clients}", "-s", "1M")).Expect(0);

        await lab.B.StopAsync();
        var dumps = DumpCatalog.Read(lab.Store).Dumps;
        Assert.Equal(2 * clients, dumps.Count);
        Assert.All(dumps, dump => Assert.Equal(TakeoverLab.VirtualAddress, dump.Manifest.Endpoint.Address));
        await LabDumps.AssertWholeAsync(lab, [new(first, clients, 1024), new(second, clients, 1024)]);
    }

    /// <summary>A socket on <paramref name="node"/> that answers with a name, until it is disposed of.</summary>
    private static Socket Echo(LabNode node, string name)
    {
        var socket = node.Network.In(() =>
        {
            var made = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            made.Bind(new IPEndPoint(IPAddress.Parse(TakeoverLab.VirtualAddress), EchoPort));
            return made;
        });
        new Thread(() =>
        {
            byte[] buffer = new byte[16];
            try
            {
                while (true)
                {
                    EndPoint from = new IPEndPoint(IPAddress.Any, 0);
                    socket.ReceiveFrom(buffer, ref from);
                    socket.SendTo(Encoding.ASCII.GetBytes(name), from);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
            }
        })
        { IsBackground = true }.Start();
        return socket;
    }

    private static string? Ask(UdpClient client, TimeSpan timeout)
    {
        client.Send("?"u8);
        if (!client.Client.Poll(timeout, SelectMode.SelectRead))
            return null;
        IPEndPoint? from = null;
        return Encoding.ASCII.GetString(client.Receive(ref from));
    }
}
