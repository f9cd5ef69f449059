using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>A network of its own (ip-netns(8)), removed with this object; one that a killed test run left is removed by the next.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class NetworkNamespace : IAsyncDisposable
{
    private const string Names = "/run/netns";
    private const string Prefix = "netdump-";

    // linux/sched.h
    private const int CloneNewNet = 0x40000000;

    private static readonly Lazy<Task> s_leftOversRemoved = new(RemoveLeftOversAsync);
    private static int s_last;

    private NetworkNamespace(string name) => Name = name;

    /// <summary>What ip(8) knows it by.</summary>
    public string Name { get; }

    private string File => Path.Combine(Names, Name);

    /// <summary>Makes one whose loopback is up.</summary>
    /// <param name="role">Part of its name.</param>
    public static async Task<NetworkNamespace> CreateAsync(string role)
    {
        await s_leftOversRemoved.Value;
        var made = new NetworkNamespace($"{Prefix}{Environment.ProcessId}-{Interlocked.Increment(ref s_last)}-{role}");
        (await CommandResult.RunAsync("ip", ["netns", "add", made.Name])).Expect(0);
        await made.ConfigureAsync("link set lo up");
        return made;
    }

    /// <summary>Runs lines of ip(8) in it; all must succeed.</summary>
    public async Task ConfigureAsync(params string[] lines)
    {
        // One process for all: a move of an address must not take longer than it does for keepalived.
        string batch = string.Join('\n', lines);
        (await CommandResult.RunAsync("sh", ["-c", $"ip -netns {Name} -batch - <<'end'\n{batch}\nend"])).Expect(0);
    }

    /// <summary>A command that becomes <paramref name="command"/> in this network; its process id stays.</summary>
    public string[] Enter(params string[] command) => ["nsenter", $"--net={File}", .. command];

    /// <summary>Runs a program in it to its end.</summary>
    public async Task<CommandResult> RunAsync(params string[] command)
    {
        string[] entered = Enter(command);
        return await CommandResult.RunAsync(entered[0], entered[1..]);
    }

    /// <summary>Calls <paramref name="make"/> in it; sockets made there stay in it, whoever uses them.</summary>
    public T In<T>(Func<T> make)
    {
        T? made = default;
        Exception? failure = null;
        // The namespace is the thread's, and goes with it.
        var thread = new Thread(() =>
        {
            try
            {
                using var network = System.IO.File.OpenHandle(File, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                Assert.True(setns(network, CloneNewNet) == 0, $"{Name} cannot be entered: {Marshal.GetLastPInvokeErrorMessage()}");
                made = make();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? made! : throw new InvalidOperationException($"in {Name}: {failure.Message}", failure);
    }

    public async ValueTask DisposeAsync() => await CommandResult.RunAsync("ip", ["netns", "delete", Name]);

    private static async Task RemoveLeftOversAsync()
    {
        if (!Directory.Exists(Names))
            return;
        foreach (string name in Directory.GetFiles(Names, $"{Prefix}*").Select(path => Path.GetFileName(path)!))
        {
            if (int.TryParse(name.Split('-')[1], out int owner) && !IsRunning(owner))
                await new NetworkNamespace(name).DisposeAsync();
        }
    }

    private static bool IsRunning(int process)
    {
        try
        {
            using var owner = Process.GetProcessById(process);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(SafeHandle network, int kind);
}
