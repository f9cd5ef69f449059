using System.Security.Cryptography;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Catalog;

public sealed class DumpVerifierTests : IDisposable
{
    private static readonly byte[] s_content = Dumps.Pattern(5000);

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public DumpVerifierTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void A_dump_whose_files_are_as_the_manifest_says_is_good()
    {
        var dump = Hashed(Dumps.Complete(5000));
        long read = 0;

        var result = DumpVerifier.Verify(dump, CancellationToken.None, bytes => read = bytes);

        Assert.True(result.IsGood);
        Assert.Empty(result.Problems);
        Assert.Empty(result.Notes);
        Assert.Equal(5000, read);
    }

    [Fact]
    public void An_unknown_hash_is_noted()
    {
        var result = DumpVerifier.Verify(Commit(Dumps.Complete(5000)), CancellationToken.None);

        Assert.True(result.IsGood);
        Assert.Equal("vmcore.web.0: SHA-256 unknown (pending), the content was not compared", Assert.Single(result.Notes));
    }

    [Fact]
    public void One_changed_bit_is_found()
    {
        var dump = Hashed(Dumps.Complete(5000));
        byte[] changed = [.. s_content];
        changed[4321] ^= 4;
        File.WriteAllBytes(dump.VmcorePath, changed);

        Assert.Contains("SHA-256 is ", Assert.Single(DumpVerifier.Verify(dump, CancellationToken.None).Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Another_length_is_found_without_reading()
    {
        var dump = Hashed(Dumps.Complete(5000));
        File.WriteAllBytes(dump.VmcorePath, [1]);

        Assert.Equal("vmcore.web.0: has 1 bytes, the manifest says 5000", Assert.Single(DumpVerifier.Verify(dump, CancellationToken.None).Problems));
    }

    [Fact]
    public void Missing_files_are_found()
    {
        var dump = Hashed(Dumps.Complete(5000, Dumps.Header(5000, keySize: 512)) with { Key = Dumps.Pattern(512) });
        File.Delete(dump.VmcorePath);
        File.Delete(dump.InfoPath);
        File.Delete(dump.KeyPath!);

        Assert.Equal(
            ["vmcore_encrypted.web.0: missing", "info.web.0: missing", "key.web.0: missing, the dump cannot be decrypted without it"],
            DumpVerifier.Verify(dump, CancellationToken.None).Problems);
    }

    [Theory]
    [InlineData(DumpStatus.Incomplete, EndReason.ClientTimedOut, "not complete: incomplete, clientTimedOut")]
    [InlineData(DumpStatus.Headerless, EndReason.Finished, "not complete: headerless, finished")]
    public void A_dump_that_is_not_complete_is_not_good(DumpStatus status, EndReason reason, string problem) =>
        Assert.Equal([problem], DumpVerifier.Verify(Hashed(Dumps.TimedOut(5000) with { Status = status, Reason = reason }), CancellationToken.None).Problems);

    [Theory]
    [InlineData(EndReason.ClientTimedOut, 0, "vmcore.web.0: SHA-256 matches, what is there is what was received")]
    [InlineData(EndReason.MachineCrashed, 100, "vmcore.web.0: SHA-256 matches, what is there is what was received, except 100 unverified bytes")]
    [InlineData(EndReason.WriteError, 0, null)]
    public void Of_a_dump_that_is_not_good_it_is_told_whether_what_is_there_can_be_trusted(EndReason reason, ulong unverifiedBytes, string? note)
    {
        var dump = Hashed(Dumps.TimedOut(5000) with { Reason = reason, UnverifiedBytes = unverifiedBytes });

        Assert.Equal(note is null ? [] : [note], DumpVerifier.Verify(dump, CancellationToken.None).Notes);
    }

    [Fact]
    public void What_has_changed_is_not_said_to_be_what_was_received()
    {
        var dump = Hashed(Dumps.TimedOut(5000));
        using (var file = File.OpenWrite(dump.VmcorePath))
            file.WriteByte(0xff);

        Assert.Empty(DumpVerifier.Verify(dump, CancellationToken.None).Notes);
    }

    [Fact]
    public void Holes_and_damage_are_problems()
    {
        var summary = Dumps.TimedOut(5000) with { MissingBytes = 12, MissingRanges = 3, Missing = [new(1, 5)], Damaged = [new(7, 8)], Error = "boom" };

        Assert.Equal(
            ["incomplete: 12 bytes missing in 3 ranges", "damaged: 1 ranges changed between transmissions", "ended by an error: boom"],
            DumpVerifier.Verify(Hashed(summary), CancellationToken.None).Problems);
    }

    [Fact]
    public void A_manifest_that_contradicts_itself_is_found()
    {
        var dump = Hashed(Dumps.Complete(5000));
        Manifest[] edited =
        [
            dump.Manifest with { CoveredBytes = 4999 },
            dump.Manifest with { Kdh = null },
            dump.Manifest with { Kdh = dump.Manifest.Kdh! with { Valid = false } },
            dump.Manifest with { Kdh = dump.Manifest.Kdh! with { DumpLength = 6000 } },
        ];

        Assert.All(edited, manifest => Assert.Equal(
            ["the manifest says complete, but its lengths and coverage contradict that"],
            DumpVerifier.Verify(dump with { Manifest = manifest }, CancellationToken.None).Problems));
    }

    private CatalogedDump Commit(DumpSummary summary)
    {
        using var file = Dumps.Receive(_directory, s_content);
        var committed = _directory.Commit(file, summary, Dumps.Circumstances("web"));
        return new(committed.ManifestPath, committed.Manifest);
    }

    private CatalogedDump Hashed(DumpSummary summary)
    {
        var dump = Commit(summary);
        return dump with
        {
            Manifest = ManifestFile.Update(dump.ManifestPath, manifest => manifest with
            {
                Sha256 = Convert.ToHexStringLower(SHA256.HashData(s_content)),
                HashState = HashState.Done,
            }),
        };
    }
}
