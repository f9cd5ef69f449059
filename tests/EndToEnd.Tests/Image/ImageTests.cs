using System.Formats.Tar;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests.Image;

/// <summary>The container image that is made without a container engine: what an engine would check of it, and a dump received by it as Kubernetes would run it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ImageTests(BuiltImage image) : IClassFixture<BuiltImage>, IDisposable
{
    private const int User = 65532;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [ImageFact]
    public void Its_layout_leads_from_the_index_to_every_blob()
    {
        var layout = new OciLayout(image.Layout);

        Assert.Equal("1.0.0", layout.LayoutVersion);
        Assert.Equal(2, layout.Index.GetProperty("schemaVersion").GetInt32());
        Assert.Equal(2, layout.Manifest.GetProperty("schemaVersion").GetInt32());
        var platform = layout.Index.GetProperty("manifests")[0].GetProperty("platform");
        Assert.Equal(("amd64", "linux"), (platform.GetProperty("architecture").GetString(), platform.GetProperty("os").GetString()));
        Assert.Equal(2, layout.UnpackLayers(_temp.Path).Count);
        // Manifest, configuration and layers, and nothing that nobody asks for.
        Assert.Equal(4, layout.Blobs.Count);
    }

    [ImageFact]
    public void It_starts_the_program_as_an_ordinary_user()
    {
        var layout = new OciLayout(image.Layout);
        var configuration = layout.Configuration.GetProperty("config");
        var files = EntriesOf(layout).Where(entry => entry.EntryType != TarEntryType.Directory).ToDictionary(entry => entry.Name);

        Assert.Equal($"{User}:{User}", configuration.GetProperty("User").GetString());
        string entry = Assert.Single(Strings(configuration.GetProperty("Entrypoint")));
        var link = files[$".{entry}"];
        Assert.Equal(TarEntryType.SymbolicLink, link.EntryType);
        string program = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(entry)!, link.LinkName));
        Assert.True(files[$".{program}"].Mode.HasFlag(UnixFileMode.OtherExecute), $"{program} cannot be executed");
        Assert.Equal(["20023/udp", "9464/tcp"], configuration.GetProperty("ExposedPorts").EnumerateObject().Select(port => port.Name));
        Assert.Contains($"PATH={Path.GetDirectoryName(entry)}", Strings(configuration.GetProperty("Env")));
        Assert.Equal("netdump-collector", configuration.GetProperty("Labels").GetProperty("org.opencontainers.image.title").GetString());
    }

    [ImageFact]
    public void Its_files_are_roots_without_a_shell_and_with_one_time()
    {
        var entries = EntriesOf(new OciLayout(image.Layout)).ToArray();

        Assert.Single(entries.Select(entry => entry.ModificationTime).Distinct());
        Assert.All(entries.Where(entry => entry.Name != "./var/lib/netdump/"), entry => Assert.Equal((0, 0), (entry.Uid, entry.Gid)));
        var dumps = Assert.Single(entries, entry => entry.Name == "./var/lib/netdump/");
        Assert.Equal((User, User, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute), (dumps.Uid, dumps.Gid, dumps.Mode));
        Assert.All(
            entries.Where(entry => entry.EntryType != TarEntryType.SymbolicLink && entry.Name != "./tmp/"),
            entry => Assert.Equal(UnixFileMode.None, entry.Mode & (UnixFileMode.SetUser | UnixFileMode.SetGroup | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)));
        Assert.DoesNotContain(entries, entry => Path.GetFileName(entry.Name) is "sh" or "bash" or "dash" or "busybox" or "apt" or "dpkg");
        Assert.Equal(["./usr/bin/netdump-collector"], entries.Select(entry => entry.Name).Where(name => name.StartsWith("./usr/bin/", StringComparison.Ordinal) && name.Length > "./usr/bin/".Length));
    }

    [ImageFact]
    public void What_it_brings_of_Debian_is_named_with_version_and_licence()
    {
        string[] packages = [.. Directory.GetFiles(Path.Combine(image.RootFileSystem, "var/lib/dpkg/status.d"))];

        Assert.Equal(["ca-certificates", "gcc-12-base", "libc6", "libgcc-s1", "libssl3", "libstdc++6", "libzstd1"], packages.Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.All(packages, path => Assert.Contains("\nVersion: ", File.ReadAllText(path), StringComparison.Ordinal));
        foreach (string package in (string[])["ca-certificates", "gcc-12-base", "libc6", "libssl3", "libzstd1", "netdump-collector"])
            Assert.True(File.Exists(Path.Combine(image.RootFileSystem, "usr/share/doc", package, "copyright")), $"the licence of {package} is missing");
        Assert.StartsWith("-----BEGIN CERTIFICATE-----", File.ReadAllText(Path.Combine(image.RootFileSystem, "etc/ssl/certs/ca-certificates.crt")), StringComparison.Ordinal);
        Assert.StartsWith("PRETTY_NAME=\"Debian", File.ReadAllText(Path.Combine(image.RootFileSystem, "usr/lib/os-release")), StringComparison.Ordinal);
    }

    [ContainerFact]
    public async Task It_receives_a_dump_with_nothing_but_a_volume_to_write_to()
    {
        string root = Directory.CreateDirectory(_temp.File("root")).FullName;
        foreach (string layer in new OciLayout(image.Layout).UnpackLayers(_temp.Path))
            (await CommandResult.RunAsync("tar", ["-xf", layer, "-C", root])).Expect(0);
        string volume = Directory.CreateDirectory(_temp.File("volume")).FullName;
        string settings = Directory.CreateDirectory(_temp.File("settings")).FullName;
        File.Copy(Path.Combine(BuildScript.RepositoryRoot, "deploy/k8s/overlays/single/collector.json"), Path.Combine(settings, "collector.json"));
        string tokens = Directory.CreateDirectory(_temp.File("tokens")).FullName;
        string token = new('t', 40);
        File.WriteAllText(Path.Combine(tokens, "tokens"), $"ann view {token}\n");

        await using var container = StartContainer(root, volume, settings, tokens);
        await container.PrintsAsync("Waiting for clients.");
        await container.PrintsAsync("Metrics and health on ");

        string status = File.ReadAllText($"/proc/{container.ProcessId}/status");
        Assert.Contains($"\nUid:\t{User}\t{User}\t{User}\t{User}\n", status, StringComparison.Ordinal);
        Assert.Contains("\nCapEff:\t0000000000000000\n", status, StringComparison.Ordinal);
        Assert.Contains("\nCapPrm:\t0000000000000000\n", status, StringComparison.Ordinal);
        Assert.Contains("\nNoNewPrivs:\t1\n", status, StringComparison.Ordinal);
        Assert.Contains(File.ReadAllLines($"/proc/{container.ProcessId}/mountinfo"), line => line.Split(' ') is [_, _, _, _, "/", var options, ..] && options.StartsWith("ro,", StringComparison.Ordinal));
        Assert.All(
            File.ReadAllLines($"/proc/{container.ProcessId}/maps").Where(line => line.Contains('/', StringComparison.Ordinal) && line.Contains(".so", StringComparison.Ordinal)),
            line => Assert.Contains($" {root}/", line, StringComparison.Ordinal));

        (await InNetworkOfAsync(container, "send", "--synthetic", "4M", "--server", "127.0.0.1", "--from", "127.0.0.9", "--panic", "fire drill")).Expect(0);

        Assert.Equal(DumpStatus.Complete, Assert.Single(DumpCatalog.Read(Path.Combine(volume, "dumps")).Dumps).Manifest.Status);
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", Path.Combine(volume, "dumps"))).Expect(0);
        (await InNetworkOfAsync(container, "sessions", "--http", "127.0.0.1:9464")).Expect(3);
        (await CommandResult.RunAsync("env", [$"NETDUMP_TOKEN={token}", .. InNetworkOf(container), "sessions", "--http", "127.0.0.1:9464"])).Expect(0);
        container.Terminate();
        await container.EndsAsync();
    }

    /// <summary>What a container runtime does for the pods of deploy/k8s, without one: namespaces, a read-only root, an ordinary user without rights, and the image's own variables.</summary>
    private ServiceProcess StartContainer(string root, string volume, string settings, string tokens)
    {
        // Each step becomes the next one, so that the process id is the program's.
        const string Script = """
            set -e
            root=$1 volume=$2 settings=$3 tokens=$4 path=$PATH
            shift 4
            PATH=/usr/sbin:/usr/bin:/sbin:/bin
            ip link set lo up
            mount --bind "$root" "$root"
            mkdir -p "$root/etc/netdump/settings" "$root/etc/netdump/tokens"
            chown 65532:65532 "$volume"
            chmod 0700 "$volume"
            mount --bind "$volume" "$root/var/lib/netdump"
            mount --bind "$settings" "$root/etc/netdump/settings"
            mount --bind "$tokens" "$root/etc/netdump/tokens"
            mount -t tmpfs -o size=64k,mode=0755 none "$root/dev"
            for device in null zero random urandom; do
                touch "$root/dev/$device"
                mount --bind "/dev/$device" "$root/dev/$device"
            done
            mount -t proc -o nosuid,nodev,noexec none "$root/proc"
            mount -o remount,bind,ro "$root"
            PATH=$path
            exec /usr/bin/setpriv --no-new-privs /usr/bin/unshare --root="$root" --wd=/ --setgid=65532 --setuid=65532 "$@"
            """;
        // What the image's configuration says is all that the program sees.
        var configuration = new OciLayout(image.Layout).Configuration.GetProperty("config");
        var variables = Strings(configuration.GetProperty("Env")).Select(variable => variable.Split('=', 2)).Select(pair => KeyValuePair.Create(pair[0], pair[1]));
        string entry = Strings(configuration.GetProperty("Entrypoint")).Single();
        return ServiceProcess.Start("/usr/bin/unshare", variables,
            "--mount", "--net", "/bin/sh", "-c", Script, "sh", root, volume, settings, tokens, entry, "serve", "--config", "/etc/netdump/settings/collector.json");
    }

    private static string[] InNetworkOf(ServiceProcess container) => ["nsenter", $"--net=/proc/{container.ProcessId}/ns/net", Collector.Executable];

    private static Task<CommandResult> InNetworkOfAsync(ServiceProcess container, params string[] arguments)
    {
        string[] command = [.. InNetworkOf(container), .. arguments];
        return CommandResult.RunAsync(command[0], command[1..]);
    }

    private IEnumerable<TarEntry> EntriesOf(OciLayout layout)
    {
        foreach (string layer in layout.UnpackLayers(_temp.Path))
        {
            using var file = File.OpenRead(layer);
            using var reader = new TarReader(file);
            while (reader.GetNextEntry() is { } entry)
                yield return entry;
        }
    }

    private static IEnumerable<string> Strings(JsonElement array) => array.EnumerateArray().Select(item => item.GetString()!);
}
