using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.ObjectStore;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Storage.Tests.Stitching;

public sealed class DumpStitchingTests : IDisposable
{
    private const int Length = 5 * 4096 + 123;
    private const string Root = "20261121T013939Z-00000001";

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;
    private readonly byte[] _content = Dumps.Pattern(Length);

    public DumpStitchingTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void What_the_other_node_has_makes_the_dump_whole()
    {
        var ended = Receive(new(8192, 3 * 4096), new(4 * 4096, Length));
        string before = ManifestFile.Update(ended.ManifestPath, m => m with { Sha256 = "00", HashState = HashState.Done }).Sha256!;
        var part = Part(new(0, 8192), new(12288 - 100, 4 * 4096));

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var manifest, part));

        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.Equal((DumpStatus.Complete, (ulong)Length, (ulong)Length, 0ul, 0), (manifest.Status, manifest.Bytes, manifest.CoveredBytes, manifest.MissingBytes, manifest.MissingRanges));
        Assert.Equal((null, HashState.Pending, false, 3), (manifest.Sha256, manifest.HashState, manifest.Stitching, manifest.Epoch));
        Assert.NotEqual(before, manifest.Sha256);
        Assert.Equal([new(1, "a", 8192 + 4096, 2) { Id = Root }, new(3, "b", Length - 8192 - 4096, 2) { Id = manifest.Id }], manifest.Segments!);
        Assert.EndsWith("Dump complete\n", _temp.Text("info.web.0"), StringComparison.Ordinal);
        // With the hundred bytes that both have, which are compared.
        Assert.Equal(8192 + 4096 + 100, part.ReadBytes);
        Assert.True(DumpVerifier.Verify(new(ended.ManifestPath, ManifestFile.Read(ended.ManifestPath)), default).IsGood);
        Assert.DoesNotContain(_temp.Names, name => name.StartsWith('.'));
        Assert.Equal(StitchOutcome.NotWanted, Stitch(ended, out _, part));
    }

    [Fact]
    public void Only_its_end_came_here()
    {
        var ended = Receive();

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var manifest, Part(new ByteRange(0, Length))));

        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.Equal(DumpStatus.Complete, manifest.Status);
    }

    [Fact]
    public void What_no_part_has_stays_missing_and_is_told_of()
    {
        var ended = Receive(new ByteRange(8192, Length));

        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out _));
        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out var manifest, Part(new(0, 4096), new(5000, 6000))));

        Assert.Equal(DumpStatus.Incomplete, manifest.Status);
        Assert.Equal([new(4096, 5000), new(6000, 8192)], manifest.Missing);
        Assert.Equal((2192ul + 904, 2, false), (manifest.MissingBytes, manifest.MissingRanges, manifest.Stitching));
        Assert.Contains("bytes missing in 2 ranges", _temp.Text("info.web.0"), StringComparison.Ordinal);
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out manifest, Part(new ByteRange(4096, 8192))));
        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
    }

    /// <summary>Whatever the manifest says is there is there, however often the process ends in the middle, and nobody takes the hash of before for the file's.</summary>
    [Fact]
    public void Interrupted_anywhere_it_never_claims_too_much_and_goes_on()
    {
        const int Pieces = 6;
        int length = Pieces * DumpStitching.PieceBytes / 2;
        byte[] content = Dumps.Pattern(length);
        var ended = ReceiveOf(content, 0, new ByteRange((ulong)length - 4096, (ulong)length));
        ManifestFile.Update(ended.ManifestPath, m => m with { Sha256 = "00", HashState = HashState.Done });
        var part = new MemoryPart(PartManifest((ulong)length, new ByteRange(0, (ulong)length - 4096)), content);
        var outcome = StitchOutcome.Busy;
        var asked = new List<ulong>();
        for (int attempt = 0; outcome != StitchOutcome.Whole; attempt++)
        {
            Assert.True(attempt < 20);
            bool dies = attempt % 2 == 0;
            int reads = 0;
            (byte[] Manifest, byte[] Vmcore)? atDeath = null;
            string vmcorePath = _temp.File("vmcore.web.0");
            part.BeforeRead = offset =>
            {
                asked.Add(offset);
                AssertTruthful(ended.ManifestPath, content);
                if (++reads != 2)
                    return;
                if (dies)
                    atDeath = (File.ReadAllBytes(ended.ManifestPath), File.ReadAllBytes(vmcorePath));
                throw new StorageException("the other node does not answer");
            };
            try
            {
                outcome = new DumpStitching(_temp.Path, "b") { NoteEveryBytes = DumpStitching.PieceBytes }.Run(ended.ManifestPath, [part], default, out _);
            }
            catch (StorageException)
            {
                if (atDeath is var (manifestAtDeath, vmcoreAtDeath))
                {
                    File.WriteAllBytes(ended.ManifestPath, manifestAtDeath);
                    File.WriteAllBytes(vmcorePath, vmcoreAtDeath);
                }

                var left = ManifestFile.Read(ended.ManifestPath);
                Assert.Equal((dies, null, HashState.Pending, DumpStatus.Incomplete), (left.Stitching, left.Sha256, left.HashState, left.Status));
            }

            AssertTruthful(ended.ManifestPath, content);
        }

        Assert.Equal(content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        // Each piece was asked for at most twice, the second time because the first time there was no answer.
        Assert.All(asked.CountBy(offset => offset), offset => Assert.InRange(offset.Value, 1, 2));
        Assert.Equal((ulong)length, ManifestFile.Read(ended.ManifestPath).Segments!.Aggregate(0ul, (sum, segment) => sum + segment.Bytes));
    }

    [Fact]
    public void The_key_that_came_to_the_other_node_comes_along()
    {
        byte[] key = Dumps.Pattern(64);
        var ended = ReceiveOf(_content, 64, new ByteRange(0, Length));
        Assert.Equal((0ul, null), (ended.Manifest.MissingBytes, ended.Manifest.Files.Key));

        var part = new MemoryPart(PartManifest(Length, new ByteRange(0, 4096)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7") }, _content, key);
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var manifest, part));

        Assert.Equal((DumpStatus.Complete, "key.web.0", null), (manifest.Status, manifest.Files.Key, manifest.Error));
        Assert.Equal(key, File.ReadAllBytes(_temp.File("key.web.0")));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(_temp.File("key.web.0")));
    }

    [Fact]
    public void A_part_that_refuses_leaves_the_dump_as_it_is()
    {
        var ended = Receive(new ByteRange(8192, Length));
        ManifestFile.Update(ended.ManifestPath, m => m with { Sha256 = "00", HashState = HashState.Done });
        string before = _temp.Text("dump.web.0.json");
        var part = Part(new ByteRange(0, 8192));
        part.BeforeRead = _ => throw new StorageException("401");

        Assert.Equal("401", Assert.Throws<StorageException>(() => Stitch(ended, out _, part)).Message);

        Assert.Equal(before, _temp.Text("dump.web.0.json"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_crash_has_left_in_the_middle_ends_also_where_nothing_comes(bool isAsked)
    {
        var ended = Receive(new ByteRange(8192, Length));
        ManifestFile.Update(ended.ManifestPath, m => m with { HashState = HashState.Pending, Stitching = true });
        var part = Part(new ByteRange(0, 8192));
        part.BeforeRead = _ => throw new StorageException("503");

        if (isAsked)
            Assert.Throws<StorageException>(() => Stitch(ended, out _, part));
        else
            Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out _));

        var left = ManifestFile.Read(ended.ManifestPath);
        Assert.Equal((false, HashState.Pending, DumpStatus.Incomplete), (left.Stitching, left.HashState, left.Status));
    }

    [Fact]
    public void A_refused_key_costs_nothing_of_what_came()
    {
        var ended = ReceiveOf(_content, 64, new ByteRange(8192, Length));
        var part = new MemoryPart(PartManifest(Length, new ByteRange(0, 8192)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7") }, _content);

        Assert.Throws<StorageException>(() => Stitch(ended, out _, part));

        var left = ManifestFile.Read(ended.ManifestPath);
        Assert.Equal((false, (ulong)Length, DumpStatus.Incomplete), (left.Stitching, left.CoveredBytes, left.Status));
        Assert.Equal(_content, File.ReadAllBytes(new CatalogedDump(ended.ManifestPath, left).VmcorePath));
        Assert.Throws<StorageException>(() => Stitch(ended, out _, part));
        Assert.Equal(8192, part.ReadBytes);
    }

    [Fact]
    public void A_part_of_another_panic_is_not_stitched_in()
    {
        var ended = Receive(new ByteRange(8192, Length));
        byte[] other = [.. _content];
        other[9000] ^= 0xff;
        string before = _temp.Text("dump.web.0.json");
        var part = new MemoryPart(PartManifest(Length, new ByteRange(0, 12288)), other);

        Assert.Throws<ForeignPartException>(() => Stitch(ended, out _, part));
        Assert.Equal(before, _temp.Text("dump.web.0.json"));
        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out _, new MemoryPart(part.Manifest with { Client = "10.9.9.9" }, _content)));

        // Where the kernel sent something else again, that says nothing.
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out _, new MemoryPart(part.Manifest with { Overwritten = [new(8900, 9100)] }, other)));
    }

    [Fact]
    public void Little_is_compared_whole_and_much_from_end_to_end()
    {
        Assert.Equal([new(10, 20), new(100, 100 + PartSamples.SampleBytes), new(100 + PartSamples.SampleBytes, 70_000)], PartSamples.Of([new(10, 20), new(100, 70_000)]));

        ByteRange[] much = [.. PartSamples.Of([new(0, 1_000_000), new(5_000_000, 1_000_000_000)])];
        Assert.Equal((16, 0ul), (much.Length, much[0].Start));
        Assert.InRange(much[^1].End, 1_000_000_000ul - 16, 1_000_000_000ul);
        Assert.All(much, sample => Assert.InRange(sample.Length, 1ul, (ulong)PartSamples.SampleBytes));
    }

    [Fact]
    public void A_part_that_cannot_be_read_keeps_no_other_away()
    {
        var ended = Receive(new ByteRange(8192, Length));
        var bad = new MemoryPart(PartManifest(Length, new ByteRange(0, 8192)) with { Id = "20261121T013942Z-00000002", StartedAt = Dumps.StartedAt.AddSeconds(2) }, _content) { BeforeRead = _ => throw new StorageException("503") };

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out _, bad, Part(new ByteRange(0, 8192))));

        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
    }

    [Fact]
    public void A_key_that_is_cut_off_is_none()
    {
        var ended = ReceiveOf(_content, 64, new ByteRange(0, Length));
        string before = File.ReadAllText(ended.ManifestPath);

        var part = new MemoryPart(PartManifest(Length, new ByteRange(0, 4096)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7") }, _content, new byte[63]);

        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out var manifest, part));
        Assert.Equal((DumpStatus.Incomplete, null), (manifest.Status, manifest.Files.Key));
        Assert.Equal(before, File.ReadAllText(ended.ManifestPath));
    }

    [Fact]
    public void Damage_of_the_other_part_is_the_dumps()
    {
        var ended = Receive(new ByteRange(4096, Length));
        var part = Part(new ByteRange(0, Length));
        part = new(part.Manifest with { Damaged = [new(100, 200), new(5000, 6000)] }, _content);

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var manifest, part));

        Assert.Equal(DumpStatus.Damaged, manifest.Status);
        Assert.Equal([new(100, 200)], manifest.Damaged);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-7200)]
    public void The_node_that_had_it_last_is_asked_first_whatever_its_clock_says(int secondsLater)
    {
        var ended = Receive(new ByteRange(8192, Length));
        byte[] older = [.. _content];
        older[5000] ^= 0xff;
        var first = new MemoryPart(PartManifest(Length, new ByteRange(0, 8192)), older);
        var second = new MemoryPart(PartManifest(Length, new ByteRange(4096, 8192)) with { Id = "20261121T013942Z-00000002", StartedAt = Dumps.StartedAt.AddSeconds(secondsLater), Continues = new(Root, "a", 1) }, _content) { Node = "c" };

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var manifest, first, second));

        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.Equal([(1, "a", 4096ul), (2, "c", 4096ul), (3, "b", (ulong)Length - 8192)], manifest.Segments!.Select(segment => (segment.Epoch, segment.Node, segment.Bytes)));
    }

    [Fact]
    public void What_is_not_said_to_be_there_is_not_fetched()
    {
        var manifest = PartManifest(Length, new(0, 4096), new(8192, Length));

        // Not all holes are listed: what lies behind the last one that is may be one.
        Assert.Equal([new(0, 4096)], PartRanges.HeldBy(manifest with { MissingRanges = 2 }).Ranges.ToArray());
        Assert.Empty(PartRanges.HeldBy(manifest with { MissingRanges = 2, Missing = [] }).Ranges.ToArray());
        Assert.Empty(PartRanges.HeldBy(manifest with { Reason = EndReason.WriteError }).Ranges.ToArray());
        // Its file is shorter than the dump.
        Assert.Equal([new(0, 4096), new(8192, 9000)], PartRanges.HeldBy(manifest with { Bytes = 9000 }).Ranges.ToArray());
        Assert.Equal([new(0, 4096), new(8192, Length)], PartRanges.HeldBy(manifest with { Kdh = null }).Ranges.ToArray());
        Assert.Empty(PartRanges.HeldBy(manifest with { Missing = [new(0, ulong.MaxValue)] }).Ranges.ToArray());
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("stored")]
    [InlineData("failed")]
    [InlineData("unlisted")]
    [InlineData("headless")]
    public void What_is_to_stay_as_it_is_does(string why)
    {
        var ended = Receive(new ByteRange(4096, Length));
        ManifestFile.Update(ended.ManifestPath, m => why switch
        {
            "truncated" => m with { TruncatedBy = "head" },
            "stored" => m with { Stored = new("s3://b/x/", Dumps.StartedAt, "vmcore", StoreCompression.None, StoreEncryption.None, 1, "00", "e") },
            "unlisted" => m with { MissingRanges = 2 },
            "failed" => m with { Reason = EndReason.WriteError },
            _ => m with { Kdh = null },
        });
        string before = _temp.Text("dump.web.0.json");

        Assert.Equal(StitchOutcome.NotWanted, Stitch(ended, out _, Part(new ByteRange(0, 4096))));
        Assert.Equal(before, _temp.Text("dump.web.0.json"));
    }

    [Fact]
    public void While_it_is_uploaded_it_is_left_alone()
    {
        var ended = Receive(new ByteRange(4096, Length));
        using (UploadState.Take(new(ended.ManifestPath, ended.Manifest)))
            Assert.Equal(StitchOutcome.Busy, Stitch(ended, out _, Part(new ByteRange(0, 4096))));

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out _, Part(new ByteRange(0, 4096))));
    }

    /// <summary>Before each piece: what arrives goes before what is fetched.</summary>
    [Theory]
    [InlineData(0, 12_000_000, 12_000_000, true)]
    [InlineData(30_000_000, 40_000_000, 40_000_000, true)]
    [InlineData(0, 12_000_000, 5_000_000, false)]
    [InlineData(0, 8_500_000, 8_500_000, false)]
    [InlineData(30_000_000, 40_000_000, 20_000_000, false)]
    public void Running_dumps_keep_their_room(long minFree, long free, long freeLater, bool isWhole)
    {
        byte[] content = Dumps.Pattern(8 << 20);
        var ended = ReceiveOf(content, 0);
        var part = new MemoryPart(PartManifest((ulong)content.Length, new ByteRange(0, (ulong)content.Length)), content);
        long now = free;
        part.BeforeRead = _ => now = freeLater;
        var headroom = new Headroom(new(minFree, 0), WhenFull.Refuse, _ => new(now, 100_000_000));
        var stitching = new DumpStitching(_temp.Path, "b") { Headroom = headroom };

        if (isWhole)
        {
            Assert.Equal(StitchOutcome.Whole, stitching.Run(ended.ManifestPath, [part], default, out _));
            return;
        }

        Assert.Contains("are free on the file system", Assert.Throws<StorageException>(() => stitching.Run(ended.ManifestPath, [part], default, out _)).Message, StringComparison.Ordinal);
        var left = ManifestFile.Read(ended.ManifestPath);
        Assert.Equal((false, free == freeLater ? 0ul : DumpStitching.PieceBytes), (left.Stitching, left.CoveredBytes));
    }

    [Fact]
    public void What_was_encrypted_of_the_file_of_before_is_not_gone_on_with()
    {
        var ended = Receive(new ByteRange(8192, Length));
        using (var state = UploadState.Take(new(ended.ManifestPath, ended.Manifest)))
            state!.Write(new() { Version = UploadState.Version, Url = "s3://b/x", UploadId = "u", PartBytes = 8 << 20, FileBytes = Length, Compression = StoreCompression.None, SealHeader = [1], DataKey = new byte[32] });
        var part = Part(new ByteRange(0, 4096));
        part.BeforeRead = _ => throw new StorageException("503");
        Assert.Throws<StorageException>(() => Stitch(ended, out _, part));
        Assert.Contains(_temp.Names, name => name.StartsWith(".upload.", StringComparison.Ordinal));
        part.BeforeRead = null;

        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out var manifest, part));

        using var after = UploadState.Take(new(ended.ManifestPath, manifest));
        Assert.Null(after!.Begun);
    }

    [Fact]
    public void Parts_are_waited_for_a_day_and_while_they_come()
    {
        var first = PartManifest(Length, new ByteRange(0, 4096));
        var part = first with { Continues = new(Root, "a", 1) };
        var now = first.EndedAt;
        var late = now + TimeSpan.FromDays(1);

        Assert.False(DumpStitching.IsAwaited(first, now));
        Assert.True(DumpStitching.IsAwaited(part, late - TimeSpan.FromSeconds(1)));
        Assert.False(DumpStitching.IsAwaited(part, late));
        Assert.False(DumpStitching.IsAwaited(part with { Status = DumpStatus.Complete }, now));
        Assert.False(DumpStitching.IsAwaited(part with { Within = new("x", "b") }, now));
        Assert.True(DumpStitching.IsAwaited(first with { Stitching = true }, now));
        Assert.False(DumpStitching.IsAwaited(first with { Stitching = true }, late));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(40, 63)]
    public void A_key_with_a_hole_is_none_and_its_pieces_are_put_together(int start, int end)
    {
        byte[] key = Dumps.Pattern(64);
        byte[] torn = [.. key];
        torn.AsSpan(start..(end + 1)).Clear();
        var ended = ReceiveOf(_content, 64, new ByteRange(0, Length));
        var part = PartManifest(Length, new ByteRange(0, 4096)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7"), KeyMissing = [new((ulong)start, (ulong)end + 1)] };

        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out var manifest, new MemoryPart(part, _content, torn)));
        Assert.Equal((DumpStatus.Incomplete, null), (manifest.Status, manifest.Files.Key));

        byte[] tail = new byte[64];
        key.AsSpan(start).CopyTo(tail.AsSpan(start));
        var other = new MemoryPart(part with { Id = "20261121T013942Z-00000002", Continues = new(Root, "a", 1), KeyMissing = start == 0 ? null : [new(0, (ulong)start)] }, _content, tail);
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out manifest, new MemoryPart(part, _content, torn), other));
        Assert.Equal((DumpStatus.Complete, "key.web.0", null), (manifest.Status, manifest.Files.Key, manifest.KeyMissing));
        Assert.Equal(key, File.ReadAllBytes(_temp.File("key.web.0")));
    }

    /// <summary>The burst of the key was cut by the move to the other node: each has what the other has not.</summary>
    [Fact]
    public void The_dumps_own_piece_of_the_key_counts()
    {
        byte[] key = Dumps.Pattern(64);
        byte[] end = new byte[64];
        key.AsSpan(20).CopyTo(end.AsSpan(20));
        var ended = ReceiveOf(_content, 64, new ByteRange(8192, Length));
        File.WriteAllBytes(_temp.File("key.web.0"), end);
        ManifestFile.Update(ended.ManifestPath, m => m with { Files = m.Files with { Key = "key.web.0" }, KeyMissing = [new(0, 20)] });
        var part = PartManifest(Length, new ByteRange(0, 8192)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7") };

        Assert.Equal(StitchOutcome.Lacking, Stitch(ended, out var manifest, new MemoryPart(part, _content, key[..19])));
        Assert.Equal((0ul, DumpStatus.Incomplete, "the dump is encrypted and its key did not arrive"), (manifest.MissingBytes, manifest.Status, manifest.Error));
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out manifest, new MemoryPart(part, _content, key[..20])));

        Assert.Equal((DumpStatus.Complete, null), (manifest.Status, manifest.KeyMissing));
        Assert.Equal(key, File.ReadAllBytes(_temp.File("key.web.0")));
    }

    [Fact]
    public void The_key_of_another_panic_is_none()
    {
        byte[] other = [.. _content];
        other[100] ^= 0xff;
        var ended = ReceiveOf(_content, 64, new ByteRange(0, Length));
        var part = PartManifest(Length, new ByteRange(0, 4096)) with { Kdh = null, Files = new("vmcore.web.7", "info.web.7", "key.web.7") };

        Assert.Throws<ForeignPartException>(() => Stitch(ended, out _, new MemoryPart(part, other, Dumps.Pattern(64))));

        Assert.DoesNotContain("key.web.0", _temp.Names);
    }

    /// <summary>The kernel sends the header, then the key: whoever has the header makes the dump whole.</summary>
    [Fact]
    public void The_header_came_to_the_first_node_alone_and_the_key_to_the_second()
    {
        byte[] key = Dumps.Pattern(64);
        var first = ReceiveOf(_content, 64, new ByteRange(0, Length));
        ManifestFile.Update(first.ManifestPath, m => m with { Continues = null });
        var second = PartManifest(Length) with { Kdh = null, Bytes = 0, Missing = [], MissingBytes = 0, MissingRanges = 0, Continues = new(first.Manifest.Id, "b", 1), Files = new("vmcore.web.7", "info.web.7", "key.web.7") };

        Assert.Equal(StitchOutcome.Whole, Stitch(first, out var manifest, new MemoryPart(second, [], key)));

        Assert.Equal((DumpStatus.Complete, "key.web.0"), (manifest.Status, manifest.Files.Key));
    }

    [Fact]
    public void Parts_that_both_have_the_header_have_the_same()
    {
        var ended = Receive(new ByteRange(8192, Length));
        var part = PartManifest(Length, new ByteRange(0, 8192));

        Assert.Throws<ForeignPartException>(() => Stitch(ended, out _, new MemoryPart(part with { Kdh = part.Kdh! with { DumpTime = part.Kdh.DumpTime.AddSeconds(1) } }, _content)));
        Assert.Throws<ForeignPartException>(() => Stitch(ended, out _, new MemoryPart(part with { Kdh = part.Kdh! with { DumpLength = Length + 1 } }, _content)));

        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out _, new MemoryPart(part, _content)));
    }

    /// <summary>Its first burst lies at 0, where it belongs, and further on, where it came: until the dump has come there that is no part of it.</summary>
    [Fact]
    public void Of_a_part_whose_first_burst_was_moved_nothing_behind_its_first_hole_counts()
    {
        var ended = Receive(new ByteRange(8192, Length));
        byte[] file = [.. _content];
        file.AsSpan(0, 4096).CopyTo(file.AsSpan(12288));
        var part = PartManifest(Length, new(0, 8192), new(12288, 16384)) with { Relocated = true };

        Assert.Equal([new(0, 8192)], PartRanges.HeldBy(part).Ranges.ToArray());
        Assert.Empty(PartRanges.HeldBy(part with { Missing = [new(0, 100), .. part.Missing], MissingRanges = 3 }).Ranges.ToArray());
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out _, new MemoryPart(part, file)));
        Assert.Equal(_content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.False(DumpStitching.IsWanted(ended.Manifest with { Relocated = true }));
    }

    /// <summary>What another node tells is anything.</summary>
    [Fact]
    public void Offsets_that_no_file_has_are_not_asked_for()
    {
        var manifest = PartManifest(ulong.MaxValue, new ByteRange(0, ulong.MaxValue)) with { Bytes = ulong.MaxValue };

        Assert.Equal([new(0, long.MaxValue)], PartRanges.HeldBy(manifest).Ranges.ToArray());
        Assert.Equal([new(0, 4096), new(8192, long.MaxValue)], PartRanges.HeldBy(manifest with { Missing = [new(8192, 4096), new(ulong.MaxValue, 0), new(4096, 8192)], MissingRanges = 3 }).Ranges.ToArray());

        var ended = Receive(new ByteRange(8192, Length));
        var part = new MemoryPart(manifest with { Kdh = null, Damaged = [new(9000, 10), new(5, ulong.MaxValue)], Overwritten = [new(ulong.MaxValue - 1, ulong.MaxValue)] }, _content);
        Assert.Equal(StitchOutcome.Whole, Stitch(ended, out var whole, part));
        Assert.Equal([new(5, 8192)], whole.Damaged);
    }

    private StitchOutcome Stitch(CommittedDump ended, out Manifest manifest, params IDumpPart[] parts) =>
        new DumpStitching(_temp.Path, "b").Run(ended.ManifestPath, parts, default, out manifest);

    private MemoryPart Part(params ByteRange[] held) => new(PartManifest(Length, held), _content);

    /// <summary>Of the node that began the dump.</summary>
    private static Manifest PartManifest(ulong length, params ByteRange[] held)
    {
        var covered = RangeList.ToCoverage(held);
        ByteRange[] missing = [.. covered.Missing(length)];
        var summary = Dumps.TimedOut(length) with { Header = Dumps.Header(length), Missing = missing, MissingRanges = missing.Length, MissingBytes = RangeList.BytesOf(missing), CoveredBytes = covered.CoveredBytes };
        return Manifest.Of(new(Root, Dumps.Client, Dumps.StartedAt), new() { Host = "web", Index = 7, Core = "vmcore.web.7" }, summary, Dumps.Circumstances("web"), (long)length);
    }

    private CommittedDump Receive(params ByteRange[] held) => ReceiveOf(_content, 0, held);

    /// <summary>The part of the node that got the dump's end.</summary>
    private CommittedDump ReceiveOf(byte[] content, uint keyBytes, params ByteRange[] held)
    {
        using var file = _directory.Create(Dumps.NewIdentity() with { StartedAt = Dumps.StartedAt.AddSeconds(5), Continues = new(Root, "c", 2) }, default, null);
        foreach (var range in held)
            Dumps.Write(file, range.Start, content.AsSpan((int)range.Start, (int)range.Length));
        var covered = RangeList.ToCoverage(held);
        ByteRange[] missing = [.. covered.Missing((ulong)content.Length)];
        var summary = Dumps.Complete((ulong)content.Length, Dumps.Header((ulong)content.Length, keyBytes)) with
        {
            Status = DumpStatus.Incomplete,
            LengthBytes = covered.End,
            CoveredBytes = covered.CoveredBytes,
            Missing = missing,
            MissingBytes = RangeList.BytesOf(missing),
            MissingRanges = missing.Length,
        };
        return _directory.Commit(file, summary, Dumps.Circumstances("web"));
    }

    private static void AssertTruthful(string manifestPath, byte[] content)
    {
        var manifest = ManifestFile.Read(manifestPath);
        byte[] file = File.ReadAllBytes(new CatalogedDump(manifestPath, manifest).VmcorePath);
        foreach (var range in PartRanges.HeldBy(manifest).Ranges)
            Assert.True(file.AsSpan((int)range.Start, (int)range.Length).SequenceEqual(content.AsSpan((int)range.Start, (int)range.Length)), $"{range} is said to be there");
    }
}
