using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Storage.Tests.Fleet;

public sealed class OutboxTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    private string File => Path.Combine(_temp.Path, Outbox.NameOf("a"));

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void What_waits_outlives_the_process_and_so_does_the_instance()
    {
        Guid instance;
        using (var before = Outbox.Open(_temp.Path, "a"))
        {
            instance = before.Instance;
            Assert.True(before.Add(Changed("1")) && before.Add(Changed("2")) && before.Add(new("1", null)));
        }

        using var after = Outbox.Open(_temp.Path, "a");

        Assert.Equal(instance, after.Instance);
        Assert.Equal([Changed("2"), new("1", null)], after.Oldest(10).Select(waiting => waiting.Entry));
        Assert.Null(after.Damage ?? after.Problem);
    }

    [Fact]
    public void What_the_catalogue_has_waits_no_more_unless_it_changed_meanwhile()
    {
        using var outbox = Outbox.Open(_temp.Path, "a");
        outbox.Add(Changed("1"));
        outbox.Add(Changed("2"));
        long[] taken = [.. outbox.Oldest(10).Select(waiting => waiting.Number)];
        outbox.Add(Changed("2", "again"));

        outbox.Remove(taken);

        Assert.Equal([Changed("2", "again")], outbox.Oldest(10).Select(waiting => waiting.Entry));
        outbox.Remove([.. outbox.Oldest(10).Select(waiting => waiting.Number)]);
        Assert.Equal((0, OutboxFormat.HeaderBytes), (outbox.Count, (int)new FileInfo(File).Length));
    }

    [Fact]
    public void A_full_outbox_refuses_other_dumps_and_goes_on_with_those_it_has()
    {
        using var outbox = Outbox.Open(_temp.Path, "a", capacity: 2);
        outbox.Add(Changed("1"));
        outbox.Add(Changed("2"));

        Assert.False(outbox.Add(Changed("3")));
        Assert.True(outbox.Add(new("2", null)));

        Assert.Equal((2, 1L), (outbox.Count, outbox.Refused));
    }

    [Fact]
    public void Nor_does_an_entry_fit_that_is_too_long()
    {
        using var outbox = Outbox.Open(_temp.Path, "a");

        Assert.False(outbox.Add(Changed("1", new('x', OutboxFormat.MaxPayloadBytes))));
        Assert.Equal(1, outbox.Refused);
    }

    [Fact]
    public void The_file_does_not_grow_for_ever()
    {
        using var outbox = Outbox.Open(_temp.Path, "a");
        for (int i = 0; i < 40_000; i++)
            outbox.Add(Changed("the same one", new('x', 200)));

        Assert.InRange(new FileInfo(File).Length, 1, 5 << 20);
        Assert.Equal(1, outbox.Count);
    }

    [Fact]
    public void Two_processes_do_not_share_one()
    {
        using var first = Outbox.Open(_temp.Path, "a");
        using var second = Outbox.Open(_temp.Path, "a");
        using var other = Outbox.Open(_temp.Path, "b");

        Assert.Contains("another process has it", second.Problem, StringComparison.Ordinal);
        Assert.NotEqual(first.Instance, second.Instance);
        Assert.Null(other.Problem);
        Assert.True(second.Add(Changed("1")));
        Assert.Equal(0, Outbox.Open(_temp.Path, "c").Count);
    }

    [Fact]
    public void What_is_not_an_outbox_is_said_and_replaced()
    {
        System.IO.File.WriteAllText(File, "something else that lies there, and is longer than a header");
        using (var outbox = Outbox.Open(_temp.Path, "a"))
        {
            Assert.Contains("is not an outbox", outbox.Damage, StringComparison.Ordinal);
            outbox.Add(Changed("1"));
        }

        using var again = Outbox.Open(_temp.Path, "a");
        Assert.Equal((1, null), (again.Count, again.Damage));
    }

    [Fact]
    public void Whatever_became_of_the_file_the_records_before_the_damage_are_read_and_nothing_is_made_up()
    {
        byte[] whole = Bytes(Enumerable.Range(0, 5).Select(i => i % 2 == 0 ? Changed($"{i}", new('x', i * 10)) : new OutboxEntry($"{i}", null)));
        var entries = OutboxFormat.Read(whole, out int used);
        Assert.Equal((5, whole.Length), (entries.Count, used));
        var damages =
            from at in Gen.Choose(0, whole.Length - 1)
            from isCut in Gen.Elements(true, false)
            from flip in Gen.Choose(1, 255)
            select (at, isCut, flip);

        Prop.ForAll(damages.ToArbitrary(), damage =>
        {
            byte[] bytes = damage.isCut ? whole[..damage.at] : [.. whole];
            if (!damage.isCut)
                bytes[damage.at] ^= (byte)damage.flip;
            var read = OutboxFormat.Read(bytes, out int usable);
            Assert.True(usable <= bytes.Length);
            Assert.Equal(entries.Take(read.Count), read);
            // A damaged byte hides its own record and those behind it, and no other; the header has no records.
            Assert.True(damage.at < OutboxFormat.HeaderBytes || usable <= damage.at || read.Count == entries.Count);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [Fact]
    public void A_torn_end_is_cut_off_and_what_comes_later_is_read()
    {
        using (var before = Outbox.Open(_temp.Path, "a"))
            before.Add(Changed("1"));
        System.IO.File.AppendAllText(File, "torn");
        using (var outbox = Outbox.Open(_temp.Path, "a"))
        {
            Assert.Contains("4 bytes after 1 records", outbox.Damage, StringComparison.Ordinal);
            outbox.Add(Changed("2"));
        }

        using var again = Outbox.Open(_temp.Path, "a");
        Assert.Equal((2, null), (again.Count, again.Damage));
    }

    private static OutboxEntry Changed(string id, string json = "{}") => new(id, new($"vmcore.{id}.0", json, "digest"));

    private static byte[] Bytes(IEnumerable<OutboxEntry> entries) => [.. OutboxFormat.Header(Guid.NewGuid()), .. entries.SelectMany(entry => OutboxFormat.Record(entry)!)];
}
