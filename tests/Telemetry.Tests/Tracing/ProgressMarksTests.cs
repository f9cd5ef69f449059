using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Telemetry.Tests.Tracing;

public sealed class ProgressMarksTests
{
    [Fact]
    public void Each_tenth_of_a_known_length_passes_once()
    {
        var marks = new ProgressMarks(0);
        Assert.False(marks.Passes(5, 1003));

        Assert.Equal([100, 200, 300, 400, 500, 600, 700, 800, 900, 1003], Passed(ref marks, 1003, 6, 1003));
    }

    [Fact]
    public void A_leap_over_several_tenths_is_one_mark()
    {
        var marks = new ProgressMarks(0);
        Assert.False(marks.Passes(0, 1000));

        Assert.True(marks.Passes(450, 1000));
        Assert.False(marks.Passes(499, 1000));
        Assert.True(marks.Passes(500, 1000));
    }

    [Fact]
    public void Without_a_length_each_doubling_passes()
    {
        var marks = new ProgressMarks(0);
        const int MebiByte = 1 << 20;

        Assert.Equal([64, 128, 256, 512, 1024], Passed(ref marks, 1100, 0, null, MebiByte));
    }

    [Fact]
    public void A_length_that_becomes_known_late_gives_marks_from_there_on()
    {
        var marks = new ProgressMarks(0);
        Assert.False(marks.Passes(650, null));
        Assert.False(marks.Passes(650, 1000));

        Assert.Equal([700, 800, 900, 1000], Passed(ref marks, 1000, 650, 1000));
    }

    [Fact]
    public void What_an_earlier_process_stored_is_no_mark()
    {
        var marks = new ProgressMarks(100 << 20);

        Assert.False(marks.Passes(100 << 20, null));
        Assert.True(marks.Passes(128 << 20, null));
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(3ul)]
    [InlineData(ulong.MaxValue)]
    public void Any_length_is_borne(ulong total)
    {
        var marks = new ProgressMarks(0);
        marks.Passes(0, total);

        for (ulong bytes = 1; bytes != 0; bytes <<= 1)
            marks.Passes(bytes, total);
        marks.Passes(1ul << 63, null);
        Assert.False(marks.Passes(1ul << 63, null));
    }

    private static List<ulong> Passed(ref ProgressMarks marks, ulong to, ulong from, ulong? total, ulong unit = 1)
    {
        var passed = new List<ulong>();
        for (ulong bytes = from; bytes <= to; bytes++)
        {
            if (marks.Passes(bytes * unit, total))
                passed.Add(bytes);
        }

        return passed;
    }
}
