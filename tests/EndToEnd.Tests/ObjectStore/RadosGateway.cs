using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.ObjectStore;

/// <summary>A real S3 server: Debian's radosgw over one ceph-mon and one ceph-osd that keeps everything in memory, on loopback, with all files in a directory of its own. Each is stopped by its id.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class RadosGateway : IAsyncLifetime, IDisposable
{
    public const string AccessKey = "NETDUMPTESTS";
    public const string SecretKey = "SECRETOFTHETESTS";
    public const string Bucket = "crashes";

    private static readonly string[] s_programs = ["monmaptool", "ceph-authtool", "ceph-mon", "ceph", "ceph-osd", "radosgw", "radosgw-admin"];

    private readonly TempDirectory _temp = new();
    private readonly List<Process> _processes = [];
    private readonly ushort _port = FreeTcpPort();
    private Process? _gateway;

    /// <summary>Null where the programs are there; else why tests are skipped, but where CI is set.</summary>
    public static string? Missing
    {
        get
        {
            string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
            bool isThere = s_programs.All(program => path.Any(directory => File.Exists(Path.Combine(directory, program))));
            return isThere || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")) ? null : "an S3 server is needed, which comes with Debian's ceph-mon, ceph-osd and radosgw";
        }
    }

    public Uri Endpoint => new($"http://127.0.0.1:{_port}");

    /// <summary>What a process needs in its environment to be known there; nothing asks the machine it runs on.</summary>
    public static IReadOnlyList<string> Variables { get; } =
        [$"AWS_ACCESS_KEY_ID={AccessKey}", $"AWS_SECRET_ACCESS_KEY={SecretKey}", "AWS_EC2_METADATA_DISABLED=true", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_CONFIG_FILE=/nonexistent"];

    public async Task InitializeAsync()
    {
        if (Missing is not null)
            return;
        string fsid = Guid.NewGuid().ToString(), osd = Guid.NewGuid().ToString();
        ushort monitor = FreeTcpPort();
        foreach (string directory in (string[])["mon", "osd", "run"])
            Directory.CreateDirectory(_temp.File(directory));
        string libraries = Directory.GetDirectories("/usr/lib", "*-linux-gnu")[0];
        File.WriteAllText(_temp.File("ceph.conf"), $"""
            [global]
            fsid = {fsid}
            mon_host = v2:127.0.0.1:{monitor}/0
            mon_initial_members = a
            public_addr = 127.0.0.1
            keyring = {_temp.File("keyring")}
            mon_data = {_temp.File("mon")}
            osd_data = {_temp.File("osd")}
            osd_journal = {_temp.File("osd/journal")}
            rgw_data = {_temp.Path}
            run_dir = {_temp.File("run")}
            pid_file = {_temp.File("run/$name.pid")}
            admin_socket = {_temp.File("run/$name.$pid.asok")}
            log_file = {_temp.File("run/$name.log")}
            mon_cluster_log_file = {_temp.File("run/cluster.log")}
            plugin_dir = {libraries}/ceph
            osd_class_dir = {libraries}/rados-classes
            erasure_code_dir = {libraries}/ceph/erasure-code
            osd_objectstore = memstore
            memstore_device_bytes = 4294967296
            osd_pool_default_size = 1
            osd_pool_default_min_size = 1
            osd_pool_default_pg_num = 1
            osd_pool_default_pgp_num = 1
            osd_pool_default_pg_autoscale_mode = off
            osd_crush_chooseleaf_type = 0
            mon_allow_pool_size_one = true
            mon_data_avail_crit = 0
            mon_max_pg_per_osd = 1000
            paxos_propose_interval = 0.02
            paxos_min_wait = 0.01
            rgw_frontends = beast endpoint=127.0.0.1:{_port}
            rgw_thread_pool_size = 32
            rgw_enable_gc_threads = false
            rgw_enable_lc_threads = false
            rgw_enable_usage_log = false

            """);
        string keyring = _temp.File("keyring"), map = _temp.File("monmap");
        await RunAsync("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *");
        await RunAsync("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *");
        await RunAsync("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *");
        await RunAsync("monmaptool", "--create", "--fsid", fsid, "--addv", "a", $"[v2:127.0.0.1:{monitor}]", map);
        await RunAsync("ceph-mon", [.. Configuration, "--mkfs", "-i", "a", "--keyring", keyring, "--monmap", map]);
        _ = Start("ceph-mon", "-i", "a");
        await RunAsync("ceph", [.. Configuration, "osd", "new", osd]);
        await RunAsync("ceph-osd", [.. Configuration, "-i", "0", "--mkfs", "--osd-uuid", osd]);
        _ = Start("ceph-osd", "-i", "0");
        await StartAsync();
        await RunAsync("radosgw-admin", [.. Configuration, "user", "create", "--uid=netdump", "--display-name=netdump", $"--access-key={AccessKey}", $"--secret-key={SecretKey}"]);
        await RunAsync("radosgw-admin", [.. Configuration, "user", "create", "--uid=other", "--display-name=other", $"--access-key={AccessKey}2", $"--secret-key={SecretKey}2"]);
        using var s3 = new S3Probe(Endpoint);
        await s3.MakeBucketAsync(Bucket);
    }

    /// <summary>Starts the gateway and waits until it answers; what it stored before is there.</summary>
    public async Task StartAsync()
    {
        _gateway = Start("radosgw", "-n", "client.admin");
        await Eventually.Holds(() =>
        {
            Assert.False(_gateway.HasExited, "radosgw ended");
            using var probe = new TcpClient();
            try
            {
                probe.Connect(IPAddress.Loopback, _port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }, "radosgw listens");
    }

    /// <summary>Ends the gateway without giving it a chance.</summary>
    public async Task KillAsync()
    {
        _gateway!.Kill();
        await _gateway.WaitForExitAsync();
    }

    public async Task DisposeAsync()
    {
        foreach (var process in Enumerable.Reverse(_processes))
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        _processes.Clear();
    }

    public void Dispose() => _temp.Dispose();

    private string[] Configuration => ["-c", _temp.File("ceph.conf")];

    private Process Start(string program, params string[] arguments)
    {
        var process = new Process { StartInfo = CommandResult.StartInfoOf(program, [.. Configuration, .. arguments, "-f"]) };
        process.Start();
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _processes.Add(process);
        return process;
    }

    private static async Task RunAsync(string program, params string[] arguments) => (await CommandResult.RunAsync(program, arguments)).Expect(0);

    private static ushort FreeTcpPort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return (ushort)((IPEndPoint)probe.LocalEndpoint).Port;
    }
}

/// <summary>A fact that needs radosgw; skipped, with the reason, where it is not there, and failed where CI is set.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class StoreFactAttribute : FactAttribute
{
    public StoreFactAttribute() => Skip = RadosGateway.Missing;
}

/// <summary>As <see cref="StoreFactAttribute"/>, for several cases.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class StoreTheoryAttribute : TheoryAttribute
{
    public StoreTheoryAttribute() => Skip = RadosGateway.Missing;
}
