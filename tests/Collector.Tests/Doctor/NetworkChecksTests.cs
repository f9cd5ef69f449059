using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Doctor;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Tests.Doctor;

/// <summary>What is said of ports, names, script, webhook and firewall.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class NetworkChecksTests
{
    private static readonly CollectorSettings s_settings = CollectorSettings.Defaults;
    private static readonly long[] s_localPorts = [32768, 60999];
    private static readonly PortHolder s_collector = new(IPAddress.Any, 7, "/usr/bin/netdump-collector serve --config /etc/netdump-collector.json");
    private static readonly PortHolder s_other = new(IPAddress.Any, 8, "/usr/sbin/netdumpd -D");

    [Fact]
    public void Sockets_are_read_with_their_addresses()
    {
        BoundPort[] sockets = [.. SocketTable.Parse([
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
            "  731: 0100007F:4E37 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 24680 2 0000000000000000 0",
            "  732: 00000000000000000000000000000000:4E38 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 24681 2 0000000000000000 0",
            "  733: 0000000000000000FFFF0000020200C0:4E39 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 24682 2 0000000000000000 0",
            "garbage"])];

        Assert.Equal([new(IPAddress.Loopback, 20023, "24680"), new(IPAddress.IPv6Any, 20024, "24681"), new(IPAddress.Parse("192.0.2.2"), 20025, "24682")], sockets);
        Assert.True(sockets[0].IsInTheWayOf(IPAddress.Any));
        Assert.True(sockets[1].IsInTheWayOf(IPAddress.Parse("192.0.2.1")));
        Assert.False(sockets[0].IsInTheWayOf(IPAddress.Parse("192.0.2.1")));
    }

    [Fact]
    public void Only_listeners_are_in_the_way_of_TCP() => Assert.Equal("2", Assert.Single(SocketTable.Parse([
        "header",
        "   0: 0100007F:24F8 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 20 4 30 10 -1",
        "   1: 0100007F:24F8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0000000000000000 20 4 30 10 -1"], "0A")).Inode);

    [Fact]
    public void Who_has_a_port_is_found_among_the_processes()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        var holder = SocketTable.HolderOf(SocketTable.Udp(), IPAddress.Any, ((IPEndPoint)socket.LocalEndPoint!).Port);

        Assert.Equal(Environment.ProcessId, holder?.ProcessId);
        Assert.False(holder!.IsCollector);
    }

    [Theory]
    [InlineData("/usr/bin/netdump-collector serve -d /srv", true)]
    [InlineData("dotnet /opt/netdump-collector.dll serve", true)]
    [InlineData("netdump-collector doctor", false)]
    [InlineData("/usr/sbin/netdumpd -D", false)]
    [InlineData("", false)]
    public void A_collector_is_known_by_its_program(string commandLine, bool expected) => Assert.Equal(expected, new PortHolder(IPAddress.Any, 1, commandLine).IsCollector);

    [Fact]
    public void A_free_herald_port_is_fine() => Assert.Equal(FindingLevel.Ok, Assert.Single(HeraldPortCheck.Judge(s_settings, new(null, null), s_localPorts)).Level);

    [Fact]
    public void Another_program_on_the_herald_port_is_named()
    {
        var finding = Assert.Single(HeraldPortCheck.Judge(s_settings, new(SocketError.AddressAlreadyInUse, s_other), s_localPorts));

        Assert.Equal(FindingLevel.Problem, finding.Level);
        Assert.Equal("UDP 0.0.0.0:20023 is taken by process 8 (/usr/sbin/netdumpd -D)", finding.Found);
        Assert.StartsWith("stop it (kill 8, ", finding.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void A_collector_on_the_herald_port_is_fine_where_it_is_the_one_of_the_settings()
    {
        Assert.Equal(FindingLevel.Ok, Assert.Single(HeraldPortCheck.Judge(s_settings, new(SocketError.AddressAlreadyInUse, s_collector), s_localPorts)).Level);
        var other = Assert.Single(HeraldPortCheck.Judge(s_settings, new(SocketError.AddressAlreadyInUse, s_collector with { Address = IPAddress.Loopback }), s_localPorts));
        Assert.Equal(FindingLevel.Warning, other.Level);
        Assert.Contains("-a 127.0.0.1", other.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(SocketError.AddressNotAvailable, "is not an address of this machine")]
    [InlineData(SocketError.AccessDenied, "may not have it")]
    public void A_port_that_cannot_be_had_says_why(SocketError error, string found) =>
        Assert.Single(HeraldPortCheck.Judge(s_settings, new(error, null), []), finding => finding.Level == FindingLevel.Problem && finding.Found.Contains(found, StringComparison.Ordinal));

    [Fact]
    public void A_herald_port_that_anyone_may_be_given_is_warned_of() => Assert.Single(HeraldPortCheck.Judge(s_settings with { Port = 40000 }, new(null, null), s_localPorts),
        finding => finding.Level == FindingLevel.Warning && finding.Advice == "sysctl -w net.ipv4.ip_local_reserved_ports=40000");

    [Theory]
    [InlineData(20100, 28999, "", FindingLevel.Ok)]
    [InlineData(30000, 40000, "", FindingLevel.Warning)]
    [InlineData(30000, 40000, "8080,29000-41000", FindingLevel.Ok)]
    [InlineData(30000, 40000, "8080,29000-39999", FindingLevel.Warning)]
    internal void Session_ports_keep_out_of_the_systems_own(int first, int last, string reserved, FindingLevel worst)
    {
        var findings = SessionPortsCheck.Judge(s_settings with { EndpointPorts = new((ushort)first, (ushort)last) }, new(s_localPorts, reserved, []), isServed: false).ToArray();

        Assert.Equal(worst, findings.Max(finding => finding.Level));
        if (worst == FindingLevel.Warning)
            Assert.Contains($"sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}", findings[^1].Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void Session_ports_that_others_have_are_counted()
    {
        var facts = new SessionPortsFacts(s_localPorts, "", [20100, 20101, 20101, 53]);
        var settings = s_settings with { EndpointPorts = new(20100, 20103), MaxSessions = 4 };

        Assert.Contains("20100-20103, 2 of them taken", Assert.Single(SessionPortsCheck.Judge(settings, facts, isServed: false)).Found, StringComparison.Ordinal);
        Assert.Equal(FindingLevel.Warning, Assert.Single(SessionPortsCheck.Judge(settings, facts with { TakenPorts = [20100, 20101, 20102] }, isServed: false)).Level);
        Assert.Equal(FindingLevel.Ok, Assert.Single(SessionPortsCheck.Judge(settings, facts with { TakenPorts = [20100, 20101, 20102] }, isServed: true)).Level);
    }

    [Fact]
    public void Fewer_session_ports_than_sessions_are_warned_of() => Assert.Contains("fewer than the 4096",
        Assert.Single(SessionPortsCheck.Judge(s_settings with { EndpointPorts = new(20100, 20199) }, new(s_localPorts, "", []), isServed: false)).Found, StringComparison.Ordinal);

    [Fact]
    public void Shared_endpoints_use_no_session_ports() =>
        Assert.Equal(FindingLevel.Ok, Assert.Single(SessionPortsCheck.Judge(s_settings with { Endpoint = EndpointMode.Shared, EndpointPorts = new(40000, 40001) }, new(s_localPorts, "", []), isServed: false)).Level);

    [Fact]
    public void A_taken_HTTP_port_costs_no_dump()
    {
        Assert.Equal(FindingLevel.Warning, HttpPortCheck.Judge(s_settings, SocketError.AddressAlreadyInUse, s_other).Level);
        Assert.Equal(FindingLevel.Ok, HttpPortCheck.Judge(s_settings, SocketError.AddressAlreadyInUse, s_collector).Level);
        Assert.Equal(FindingLevel.Ok, HttpPortCheck.Judge(s_settings, null, null).Level);
        Assert.Contains("--http off", HttpPortCheck.Judge(s_settings with { Http = HttpBinding.Off }, null, null).Found, StringComparison.Ordinal);
    }

    [Fact]
    public void Tokens_that_keep_serve_from_starting_are_a_problem_and_a_broken_certificate_costs_only_HTTP()
    {
        using var temp = new TempDirectory();
        string tokens = temp.File("tokens"), certificate = temp.File("certificate.pem");
        File.WriteAllText(tokens, "ann view short");
        File.WriteAllText(certificate, "broken");

        Assert.Equal(FindingLevel.Ok, Assert.Single(HttpAccessCheck.Look(s_settings)).Level);
        var unusable = Assert.Single(HttpAccessCheck.Look(s_settings with { TokenFile = tokens }));
        Assert.Equal(FindingLevel.Problem, unusable.Level);
        Assert.Contains("line 1", unusable.Found, StringComparison.Ordinal);
        Assert.Contains("nobody would be let in", unusable.Found, StringComparison.Ordinal);
        Assert.NotNull(unusable.Advice);
        Assert.Equal(FindingLevel.Problem, Assert.Single(HttpAccessCheck.Look(s_settings with { TokenFile = temp.File("none") })).Level);
        Assert.Equal(FindingLevel.Warning, Assert.Single(HttpAccessCheck.Look(s_settings with { HttpCertificate = certificate })).Level);
        Assert.Empty(HttpAccessCheck.Look(s_settings with { Http = HttpBinding.Off, TokenFile = tokens }));

        File.WriteAllText(tokens, $"ann view {new string('a', 64)}");
        Assert.Contains("knows 1 by name", Assert.Single(HttpAccessCheck.Look(s_settings with { TokenFile = tokens })).Found, StringComparison.Ordinal);
        var open = Assert.Single(HttpAccessCheck.Look(s_settings with { Http = new(new(System.Net.IPAddress.Any, 9464)) }));
        Assert.Equal(FindingLevel.Warning, open.Level);
        Assert.Contains("is not encrypted and asks nobody", open.Found, StringComparison.Ordinal);
    }

    [Fact]
    public void Reverse_DNS_is_judged_by_what_a_dump_waits_for()
    {
        var address = new Ipv4(0x0a000001);
        NameLookup quick = new(address, "web1", TimeSpan.FromMilliseconds(2)), slow = new(address, null, TimeSpan.FromMilliseconds(800)), dead = new(address, null, null);

        Assert.Equal(new(FindingLevel.Ok, "host names", "reverse DNS answers within 2 ms; 10.0.0.1 is web1"), HostNamesCheck.Judge([quick]));
        Assert.Contains("takes 800 ms", HostNamesCheck.Judge([quick, slow]).Found, StringComparison.Ordinal);
        var finding = HostNamesCheck.Judge([quick, dead]);
        Assert.Equal(FindingLevel.Warning, finding.Level);
        Assert.Contains("no longer than 500 ms", finding.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "#!/bin/sh\necho", true, false, FindingLevel.Ok, "can be run")]
    [InlineData(null, "\u007fELF", true, false, FindingLevel.Ok, "can be run")]
    [InlineData(null, "#!/bin/sh\n", true, true, FindingLevel.Warning, "changed by others")]
    [InlineData(null, "#!/no/such -x\n", false, false, FindingLevel.Problem, "is not there: /no/such")]
    [InlineData(null, "echo\n", true, false, FindingLevel.Problem, "is no program")]
    [InlineData("script /x does not exist", "", true, false, FindingLevel.Problem, "does not exist: serve would not start")]
    [InlineData("script /x is not executable for me; chmod +x it", "", true, false, FindingLevel.Problem, "not executable for me: serve would not start")]
    internal void A_script_is_judged_without_being_run(string? obstacle, string first, bool hasInterpreter, bool othersMayWrite, FindingLevel level, string found)
    {
        var finding = ScriptCheck.Judge("/x", new(obstacle, Encoding.Latin1.GetBytes(first), hasInterpreter, othersMayWrite));

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level != FindingLevel.Ok, finding.Advice is not null);
    }

    [Fact]
    public async Task A_webhooks_receiver_is_connected_to_and_hears_nothing()
    {
        using var receiver = new TcpListener(IPAddress.Loopback, 0);
        receiver.Start();
        var settings = s_settings with { Webhook = new($"http://127.0.0.1:{((IPEndPoint)receiver.LocalEndpoint).Port}/secret?token=x") };

        var finding = Assert.Single(await Task.Run(() => WebhookCheck.Look(settings, CancellationToken.None)));
        using var connection = await receiver.AcceptTcpClientAsync();
        Assert.Equal(0, await connection.GetStream().ReadAsync(new byte[1]));
        receiver.Stop();
        var after = Assert.Single(await Task.Run(() => WebhookCheck.Look(settings, CancellationToken.None)));

        Assert.Equal(FindingLevel.Ok, finding.Level);
        Assert.Equal(FindingLevel.Warning, after.Level);
        Assert.DoesNotContain("token", after.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_unreadable_webhook_secret_keeps_serve_from_starting() =>
        Assert.Equal(FindingLevel.Problem, Assert.Single(WebhookCheck.Look(s_settings with { Webhook = new("http://127.0.0.1:1/"), WebhookSecretFile = "/no/such" }, CancellationToken.None)).Level);

    [Theory]
    [InlineData(null, null, FindingLevel.Ok, "none (--cluster)")]
    [InlineData("/no/such", null, FindingLevel.Problem, "serve would not start: cluster file /no/such: No such file or directory (ENOENT)")]
    [InlineData(null, "Host=127.0.0.1;Port=1;Database=n;Colour=blue", FindingLevel.Problem, "serve would not start: connection string: the keyword 'colour' is none")]
    [InlineData(null, "Host=127.0.0.1;Port=1;Database=n", FindingLevel.Warning, "Host=127.0.0.1;Port=1;Database=n: ")]
    internal async Task The_catalogue_is_asked(string? file, string? text, FindingLevel level, string found)
    {
        var address = text is not null && ClusterAddress.TryParse(text, out var parsed) ? parsed : null;

        var finding = Assert.Single(await Task.Run(() => CatalogueCheck.Look(s_settings with { Cluster = address, ClusterFile = file }, CancellationToken.None)));

        Assert.Equal(level, finding.Level);
        Assert.StartsWith(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level == FindingLevel.Ok, finding.Advice is null);
    }

    [Theory]
    [InlineData("table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n  tcp dport 22 accept\n }\n}", FindingLevel.Warning)]
    [InlineData("table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n  udp dport { 20023, 20100-28999 } accept\n }\n}", FindingLevel.LeftOut)]
    [InlineData("table inet filter {\n chain input {\n  type filter hook input priority filter; policy accept;\n }\n chain forward {\n  type filter hook forward priority filter; policy drop;\n }\n}", FindingLevel.LeftOut)]
    [InlineData("", FindingLevel.LeftOut)]
    [InlineData(null, FindingLevel.LeftOut)]
    internal void A_firewall_that_drops_heralds_is_hinted_at_where_it_can_be_read(string? ruleset, FindingLevel level) => Assert.Equal(level, FirewallCheck.Judge(s_settings, ruleset).Level);
}
