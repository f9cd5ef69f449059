using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using NetdumpCollector.Collector.Send;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Tests.Send;

public sealed class SendVerbTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_file_arrives_whole_and_padded_to_a_page(bool shared)
    {
        byte[] file = new byte[100_001];
        new Random(5).NextBytes(file);
        File.WriteAllBytes(_temp.File("core"), file);
        using var server = new AckingServer(shared);

        var run = await SendAsync(server, "127.21.0.1", _temp.File("core"), "--path", "lab", "--panic", "boom", "--host", "web1", "--compress", "zstd");

        Assert.Equal("", run.Error);
        Assert.Equal(0, run.ExitCode);
        Assert.StartsWith("1 client to ", run.Output, StringComparison.Ordinal);
        server.Stop();
        var dump = server.Dumps[IPAddress.Parse("127.21.0.1")];
        Assert.Equal(102_400, dump.Content.Length);
        Assert.Equal(file, dump.Content[..file.Length]);
        Assert.Equal(-1, dump.Content.AsSpan(file.Length).IndexOfAnyExcept((byte)0));
        Assert.Equal("lab", dump.Path);
        Assert.Equal([MessageType.Herald, MessageType.Vmcore, MessageType.Kdh, MessageType.Finished], dump.Order);
        Assert.True(dump.Header!.IsValid);
        Assert.Equal((ulong)file.Length, dump.Header.DumpLength);
        Assert.Equal("boom", dump.Header.PanicString);
        Assert.Equal("web1", dump.Header.Hostname);
        Assert.Equal(DumpCompression.Zstd, dump.Header.Compression);
    }

    [Fact]
    public async Task Every_client_sends_its_own_dump_from_its_own_address()
    {
        using var server = new AckingServer(shared: false);

        var run = await SendAsync(server, "127.22.0.1", "--synthetic", "300K", "--clients", "5", "--json");

        Assert.Equal(0, run.ExitCode);
        var summary = JsonDocument.Parse(run.Output).RootElement;
        Assert.Equal(5, summary.GetProperty("done").GetInt32());
        Assert.Equal(0, summary.GetProperty("failed").GetInt32());
        Assert.Equal(5 * 300 * 1024, summary.GetProperty("bytes").GetInt64());
        server.Stop();
        for (int client = 0; client < 5; client++)
        {
            byte[] expected = new byte[300 * 1024];
            new MinidumpContent(expected.Length, (uint)client, $"fire-drill-{client}", "fire drill").Fill(0, expected);
            var dump = server.Dumps[IPAddress.Parse($"127.22.0.{client + 1}")];
            Assert.Equal(expected, dump.Content);
            Assert.Equal($"fire-drill-{client}", dump.Header!.Hostname);
        }
    }

    [Theory]
    [InlineData("13", "Herald EkcdKey Vmcore Kdh")]
    [InlineData("12", "Herald Vmcore Kdh EkcdKey")]
    public async Task Key_and_order_are_those_of_the_era(string order, string types)
    {
        byte[] key = Encoding.ASCII.GetBytes(new string('k', 4096));
        File.WriteAllBytes(_temp.File("key"), key);
        using var server = new AckingServer(shared: false);

        var run = await SendAsync(server, $"127.23.0.{order}", "--synthetic", "20K", "--key", _temp.File("key"), "--order", order, "--no-finish");

        Assert.Equal(0, run.ExitCode);
        server.Stop();
        var dump = Assert.Single(server.Dumps).Value;
        Assert.Equal(types, string.Join(' ', dump.Order));
        Assert.Equal(key, dump.Key);
        Assert.Equal(4096u, dump.Header!.DumpKeySize);
        Assert.False(dump.Finished);
    }

    [Fact]
    public async Task A_bad_network_costs_retransmissions_and_no_bytes()
    {
        using var server = new AckingServer(shared: false);

        var run = await SendAsync(server, "127.24.0.1", "--synthetic", "256K", "--loss", "0.05", "--duplicate", "0.05", "--reorder", "0.05", "--rto-ms", "100", "--json");

        Assert.Equal(0, run.ExitCode);
        Assert.NotEqual(0, JsonDocument.Parse(run.Output).RootElement.GetProperty("retransmittedPackets").GetInt64());
        server.Stop();
        byte[] expected = new byte[256 << 10];
        new MinidumpContent(expected.Length, 0, "fire-drill", "fire drill").Fill(0, expected);
        Assert.Equal(expected, Assert.Single(server.Dumps).Value.Content);
    }

    [Fact]
    public async Task A_kernel_gets_its_dump_through_too()
    {
        using var server = new AckingServer(shared: false);

        var run = await SendAsync(server, "127.25.0.1", "--synthetic", "64K", "--kernel", "--payload", "8948");

        Assert.Equal(0, run.ExitCode);
        server.Stop();
        Assert.Equal(65536, Assert.Single(server.Dumps).Value.Content.Length);
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_told_and_fails()
    {
        // Below the ports that sockets are given, so that no other test has it.
        const int Port = 19;

        var run = await CommandRun.OfAsync("send", "--synthetic", "4K", "--server", "127.26.0.2", "--port", $"{Port}", "--from", "127.26.0.1", "--client-port", $"{FreePort()}", "--rto-ms", "250");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"1 failed in herald: 127.26.0.2:{Port} refuses packets: no collector listens there", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_source_address_that_is_not_here_cannot_start()
    {
        var run = await CommandRun.OfAsync("send", "--synthetic", "4K", "--server", "127.0.0.1", "--from", "192.0.2.77");

        Assert.Equal(3, run.ExitCode);
        Assert.Contains("192.0.2.77", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("send needs either FILE or --synthetic SIZE", "--server", "127.0.0.1")]
    [InlineData("send needs either FILE or --synthetic SIZE", "core", "--synthetic", "1M", "--server", "127.0.0.1")]
    [InlineData("--server: missing", "--synthetic", "1M")]
    [InlineData("--server: invalid value \"web\"; allowed: an IPv4 address", "--synthetic", "1M", "--server", "web")]
    [InlineData("--server: invalid value \"0.0.0.0\"", "--synthetic", "1M", "--server", "0.0.0.0")]
    [InlineData("--synthetic: invalid value \"1X\"; allowed: a number of bytes", "--synthetic", "1X", "--server", "127.0.0.1")]
    [InlineData("--payload: invalid value \"65484\"; allowed: bytes from 512 to 65483", "--synthetic", "1M", "--server", "127.0.0.1", "--payload", "65484")]
    [InlineData("--loss: invalid value \"1.1\"; allowed: a probability", "--synthetic", "1M", "--server", "127.0.0.1", "--loss", "1.1")]
    [InlineData("--order: invalid value \"14\"; allowed: 13, 12", "--synthetic", "1M", "--server", "127.0.0.1", "--order", "14")]
    [InlineData("--compress: invalid value \"lzma\"; allowed: none, gzip, zstd", "--synthetic", "1M", "--server", "127.0.0.1", "--compress", "lzma")]
    [InlineData("--clients: 2 clients need as many source addresses", "--synthetic", "1M", "--server", "192.0.2.1", "--clients", "2")]
    [InlineData("--from: 9 addresses from 255.255.255.250", "--synthetic", "1M", "--server", "192.0.2.1", "--from", "255.255.255.250", "--clients", "9")]
    [InlineData("--key: cannot read \"/nonexistent/key\"", "--synthetic", "1M", "--server", "127.0.0.1", "--key", "/nonexistent/key")]
    [InlineData("FILE: cannot read \"/nonexistent/core\"", "/nonexistent/core", "--server", "127.0.0.1")]
    [InlineData("FILE: \"/dev/null\" is empty", "/dev/null", "--server", "127.0.0.1")]
    public async Task Wrong_usage_is_told_in_words(string words, params string[] arguments)
    {
        var run = await CommandRun.OfAsync(["send", .. arguments]);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(words, run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    private static Task<CommandRun> SendAsync(AckingServer server, string from, params string[] arguments) =>
        CommandRun.OfAsync(["send", .. arguments, "--server", "127.0.0.1", "--port", $"{server.Port}", "--from", from, "--client-port", $"{FreePort()}"]);

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
