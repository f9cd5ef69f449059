using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests;

public sealed partial class ManifestFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Reads_back_everything_that_was_written()
    {
        var manifest = Full();

        ManifestFile.Write(_temp.File("m.json"), manifest);
        string first = _temp.Text("m.json");
        var read = ManifestFile.Read(_temp.File("m.json"));
        ManifestFile.Write(_temp.File("m.json"), read);

        Assert.Equal(first, _temp.Text("m.json"));
        Assert.Equal(manifest with { Missing = [], Damaged = [], Overwritten = [], Unverified = [] }, read with { Missing = [], Damaged = [], Overwritten = [], Unverified = [] });
        Assert.Equal(manifest.Missing, read.Missing);
        Assert.Equal(manifest.Damaged, read.Damaged);
        Assert.Equal(manifest.Overwritten, read.Overwritten);
        Assert.Equal(manifest.Unverified, read.Unverified);
        Assert.Equal(["m.json"], _temp.Names);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_temp.File("m.json")));
    }

    [Fact]
    public void Its_names_and_forms_are_the_published_ones()
    {
        ManifestFile.Write(_temp.File("m.json"), Full());
        var json = JsonNode.Parse(_temp.Text("m.json"))!.AsObject();

        Assert.Equal(
            ["schema", "id", "client", "host", "index", "startedAt", "endedAt", "durationSeconds", "status", "reason", "error", "bytes", "coveredBytes", "endpoint",
                "packets", "retransmissions", "bursts", "quietBursts", "acks", "rejected", "payloadBytes", "packetPayloadBytes", "kdh", "missing", "missingBytes",
                "missingRanges", "damaged", "overwritten", "unverified", "unverifiedBytes", "unverifiedRanges", "relocated", "sha256", "hashState", "script", "scriptPending", "truncatedBy", "pinned", "files"],
            json.Select(property => property.Key));
        Assert.Equal("1", json["schema"]!.ToJsonString());
        Assert.Equal("\"2026-11-21T01:39:40.125Z\"", json["startedAt"]!.ToJsonString());
        Assert.Equal("12.5", json["durationSeconds"]!.ToJsonString());
        Assert.Equal("\"incomplete\"", json["status"]!.ToJsonString());
        Assert.Equal("\"clientTimedOut\"", json["reason"]!.ToJsonString());
        Assert.Equal("18446744073709551615", json["bytes"]!.ToJsonString());
        Assert.Equal("""{"mode":"ephemeral","address":"127.0.0.1","port":20100}""", json["endpoint"]!.ToJsonString());
        Assert.Equal("""[{"start":18446744073709551614,"end":18446744073709551615,"length":1}]""", json["missing"]!.ToJsonString());
        Assert.Equal("\"pending\"", json["hashState"]!.ToJsonString());
        Assert.Equal("true", json["kdh"]!["valid"]!.ToJsonString());
        Assert.Equal("\"gzip\"", json["kdh"]!["compression"]!.ToJsonString());
        Assert.Equal("""{"vmcore":"vmcore.web.3.gz","info":"info.web.3","key":null}""", json["files"]!.ToJsonString());
        Assert.Equal("2", json["script"]!["exitCode"]!.ToJsonString());
    }

    [Fact]
    public void Written_bytes_are_the_serializers()
    {
        foreach (var manifest in (Manifest[])[Full(), Full() with { Kdh = null, Script = null, Error = null, Missing = [], Sha256 = "00ff" }, Full() with { Host = "<\u00e4>\u2028", Script = new("s", "error", null, true, Dumps.StartedAt, 1e-7) }])
        {
            ManifestFile.Write(_temp.File("m.json"), manifest);
            Assert.Equal(System.Text.Json.JsonSerializer.Serialize(manifest, ManifestJson.Default.Manifest) + "\n", _temp.Text("m.json"));
        }
    }

    [Fact]
    public void What_nodes_received_is_written_where_they_took_a_dump_over_and_as_the_serializer_would()
    {
        var manifest = Full() with { Epoch = 2, Segments = [new(1, "a", 4096, 1), new(2, "b", 100, 2)] };

        string text = System.Text.Encoding.UTF8.GetString(ManifestWriter.ToUtf8(manifest));

        Assert.Equal(System.Text.Json.JsonSerializer.Serialize(manifest, ManifestJson.Default.Manifest) + "\n", text);
        Assert.Equal("""{"epoch":2,"node":"b","bytes":100,"ranges":2}""", JsonNode.Parse(text)!["segments"]![1]!.ToJsonString());
        Assert.DoesNotContain("epoch", System.Text.Encoding.UTF8.GetString(ManifestWriter.ToUtf8(Full())), StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_of_a_dump_name_each_other_as_the_serializer_would_have_it()
    {
        var manifest = Full() with { Continues = new("20261121T013940Z-00000001", "a", 1), Stitching = true, Within = new("20261121T013940Z-00000002", "c"), KeyMissing = [new(1, 3)], Epoch = 2, Segments = [new(1, "a", 4096, 1) { Id = "20261121T013940Z-00000001" }] };

        string text = System.Text.Encoding.UTF8.GetString(ManifestWriter.ToUtf8(manifest));

        Assert.Equal(System.Text.Json.JsonSerializer.Serialize(manifest, ManifestJson.Default.Manifest) + "\n", text);
        Assert.Equal("""{"id":"20261121T013940Z-00000001","node":"a","epoch":1}""", JsonNode.Parse(text)!["continues"]!.ToJsonString());
        Assert.Equal("""{"epoch":1,"node":"a","bytes":4096,"ranges":1,"id":"20261121T013940Z-00000001"}""", JsonNode.Parse(text)!["segments"]![0]!.ToJsonString());
        Assert.Equal("true", JsonNode.Parse(text)!["stitching"]!.ToJsonString());
        Assert.Equal("""{"id":"20261121T013940Z-00000002","node":"c"}""", JsonNode.Parse(text)!["within"]!.ToJsonString());
        Assert.Equal("""[{"start":1,"end":3,"length":2}]""", JsonNode.Parse(text)!["keyMissing"]!.ToJsonString());
    }

    [Fact]
    public void Updates_of_one_manifest_do_not_lose_each_other()
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full() with { Packets = 0 });

        var threads = Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 10; i++)
                ManifestFile.Update(path, manifest => manifest with { Packets = manifest.Packets + 1 });
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());

        Assert.Equal(80, ManifestFile.Read(path).Packets);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"schema":1,"id":"x"}""")]
    [InlineData("\0\0\0\0")]
    public void What_is_no_manifest_is_named(string content)
    {
        File.WriteAllText(_temp.File("m.json"), content);

        var e = Assert.Throws<StorageException>(() => ManifestFile.Read(_temp.File("m.json")));

        Assert.StartsWith($"manifest {_temp.File("m.json")}: ", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("id")]
    [InlineData("client")]
    [InlineData("host")]
    [InlineData("endpoint")]
    [InlineData("missing")]
    [InlineData("damaged")]
    [InlineData("overwritten")]
    [InlineData("files")]
    public void A_null_where_something_must_be_is_refused(string field)
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full());
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        json[field] = null;
        File.WriteAllText(path, json.ToJsonString());

        Assert.Throws<StorageException>(() => ManifestFile.Read(path));
    }

    [Fact]
    public void A_fifo_is_not_waited_for()
    {
        string path = _temp.File("dump.fifo.0.json");
        using (var mkfifo = System.Diagnostics.Process.Start("mkfifo", path))
            mkfifo.WaitForExit();

        Assert.Contains("not a regular file", Assert.Throws<StorageException>(() => ManifestFile.Read(path)).Message, StringComparison.Ordinal);
        Assert.Single(DumpCatalog.Read(_temp.File("")).Problems);
    }

    [Fact]
    public void A_manifest_of_a_later_schema_or_with_paths_is_refused()
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full() with { Schema = 2 });
        Assert.Contains("schema 2", Assert.Throws<StorageException>(() => ManifestFile.Read(path)).Message, StringComparison.Ordinal);

        foreach (var files in (ManifestFiles[])[new("../x", "i", null), new("v", "/etc/passwd", null), new("v", "i", ".."), new("", "i", null)])
        {
            ManifestFile.Write(path, Full() with { Files = files });
            Assert.EndsWith("is not a file name", Assert.Throws<StorageException>(() => ManifestFile.Read(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Fields_that_earlier_versions_did_not_write_may_be_missing()
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full());
        var json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        foreach (string field in (string[])["unverified", "unverifiedBytes", "unverifiedRanges", "scriptPending", "truncatedBy", "pinned"])
            Assert.True(json.Remove(field));
        File.WriteAllText(path, json.ToJsonString());

        var read = ManifestFile.Read(path);

        Assert.Empty(read.Unverified);
        Assert.False(read.ScriptPending || read.Pinned);
        Assert.Null(read.TruncatedBy);
    }

    [Theory]
    [InlineData("vmcore")]
    [InlineData("info")]
    public void A_manifest_without_a_file_name_is_refused(string which)
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full());
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        Assert.True(json["files"]!.AsObject().Remove(which));
        File.WriteAllText(path, json.ToJsonString());

        Assert.EndsWith("'' is not a file name", Assert.Throws<StorageException>(() => ManifestFile.Read(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_manifest_that_cannot_be_replaced_leaves_nothing_behind()
    {
        Directory.CreateDirectory(_temp.File("m.json/occupied"));

        var e = Assert.Throws<StorageException>(() => ManifestFile.Write(_temp.File("m.json"), Full()));

        Assert.StartsWith("m.json: cannot be renamed", e.Message, StringComparison.Ordinal);
        Assert.Equal(["m.json"], _temp.Names);
    }

    [RootFact]
    public void What_root_changes_stays_its_owners()
    {
        string path = _temp.File("m.json");
        ManifestFile.Write(path, Full());
        Assert.Equal(0, chown(path, 12345, 23456));

        ManifestFile.Update(path, manifest => manifest with { Pinned = true });

        Assert.True(ManifestFile.Read(path).Pinned);
        using var directory = Posix.Open(_temp.Path, Posix.O_RDONLY | Posix.O_DIRECTORY)!;
        Assert.Equal(new(12345, 23456), Posix.OwnerOf(directory, "m.json"));
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint user, uint group);

    private static Manifest Full()
    {
        var summary = Dumps.TimedOut(10) with
        {
            Header = Dumps.Header(10, compression: DumpCompression.Gzip),
            Missing = [new(ulong.MaxValue - 1, ulong.MaxValue)],
            MissingBytes = ulong.MaxValue,
            MissingRanges = int.MaxValue,
            Damaged = [new(1, 2), new(3, 4)],
            Overwritten = [new(5, 6)],
            Relocated = true,
            Error = "boom \"quoted\"",
        };
        return Manifest.Of(Dumps.NewIdentity(), CoreNames.Of(summary, "web", 3), summary, Dumps.Circumstances("web"), 10) with
        {
            Bytes = ulong.MaxValue,
            Script = new("/opt/after", "timeout", 2, false, Dumps.StartedAt, 0.25),
            ScriptPending = true,
        };
    }
}

/// <summary>A fact about files of other users; skipped where none can be made.</summary>
internal sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess)
            Skip = "Only root can give files away.";
    }
}
